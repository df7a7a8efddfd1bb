"""``python -m schemas check``: a version that was once merged never changes."""

import shutil
from pathlib import Path

import pytest

from kafkajourney.schemas.check import check
from kafkajourney.schemas.git import first_merged
from tests.support.schema_files import TITLE, V1, V2, V3, commit, copy_schemas, edit, evolve, generate, git, lines

pytestmark = pytest.mark.stack  # git, as processes


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a copy of the schemas in the working folder, which is in no repository."""
    monkeypatch.chdir(tmp_path)
    return copy_schemas()


@pytest.fixture
def merged(folder: Path) -> Path:
    """Return the copy as a repository in which all of it is merged."""
    git("init", "--quiet", "--initial-branch=main")
    commit()
    return folder


def test_a_compatible_version_is_well(merged: Path) -> None:
    evolve(TITLE, title="Tour")
    report = check(merged)
    assert report.findings == []
    assert report.notes == []


def test_a_merged_version_that_changed(merged: Path) -> None:
    edit(V1, lambda d: d["fields"].pop())
    edit(V1, lambda d: d["fields"][0].update(doc="Other."))
    commit = git("rev-parse", "--short=10", "HEAD")
    whom = (
        "readers of version 1 would read what writers of version 1 wrote before the change as something that it is "
        f"not. Restore it (git checkout {commit} -- {V1}). For a change run: python -m schemas evolve VideoPlayed"
    )
    doc = "Identifies this event; made once, where it happened."
    assert lines(merged)[-2:] == [
        f"{V1}: VideoPlayed.event_id was changed since it was merged in {commit} (doc: {doc}, now Other.): {whom}",
        f"{V1}: VideoPlayed.position_seconds was removed since it was merged in {commit}: {whom}",
    ]


def test_a_merged_version_that_changed_stays_changed_in_later_commits(merged: Path) -> None:
    first = git("rev-parse", "--short=10", "HEAD")
    edit(V2, lambda d: d["fields"][-1].update(default=2.0))
    generate()
    commit()
    commit_of_another_file()
    [line] = lines(merged)
    assert f"VideoPlayed.playback_rate was changed since it was merged in {first} (default: 1.0, now 2.0)" in line


def commit_of_another_file() -> None:
    Path("README.md").touch()
    commit()


def test_a_merged_version_that_is_gone(merged: Path) -> None:
    commit = git("rev-parse", "--short=10", "HEAD")
    V2.unlink()
    V2.with_suffix(".examples.ndjson").unlink()
    generate()
    [line] = lines(merged)
    assert line == (
        f"{V2}: the file was merged in {commit} and is gone: no reader of the newest version can read what writers of "
        f"version 2 wrote, nor the topic's union. Restore it (git checkout {commit} -- {V2}); a type that nobody "
        "writes any more stays."
    )


def test_a_merged_type_that_is_gone(merged: Path) -> None:
    shutil.rmtree("schemas/url_clicked")
    generate()
    [line] = lines(merged)
    assert line.startswith("schemas/url_clicked/v1.avsc: the file was merged in ")


def test_the_layout_of_a_merged_version_may_change(merged: Path) -> None:
    edit(V1, lambda d: d.update(fields=d.pop("fields")))
    assert lines(merged) == []


def test_a_version_may_change_until_its_branch_is_merged(merged: Path) -> None:
    git("switch", "--quiet", "--create", "title")
    evolve(TITLE, title="Tour")
    commit()
    evolve(TITLE | {"doc": "What it is called."}, title="Tour")
    commit()
    assert lines(merged) == []
    git("switch", "--quiet", "main")
    git("merge", "--quiet", "title")
    assert [line.partition(" was changed")[0] for line in lines(merged)] == [f"{V3}: VideoPlayed.title"]
    assert check(merged, base="main~2").findings == []


def test_without_git_the_rest_is_checked(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    evolve({"name": "title", "type": "string"}, title="Tour")
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(folder.parent.parent))
    report = check(folder)
    assert len(report.findings) == 1
    assert report.notes[0].startswith("not compared with what was merged before: git says: fatal: not a git repository")
    monkeypatch.setenv("PATH", "")
    assert "git cannot be run" in check(folder).notes[0]


def test_without_a_commit_of_the_schemas_the_rest_is_checked(folder: Path) -> None:
    git("init", "--quiet")
    assert "not compared with what was merged before" in check(folder).notes[0]
    Path("README.md").touch()
    git("add", "README.md")
    git("commit", "--quiet", "--message=readme")
    assert f"git has no history of the schemas in {folder}" in check(folder).notes[0]


def test_a_shallow_clone_is_told(merged: Path, tmp_path: Path) -> None:
    commit_of_another_file()
    git("clone", "--quiet", "--depth=1", f"file://{tmp_path}", "clone")
    report = check(tmp_path / "clone" / "schemas")
    assert report.findings == []
    assert report.notes == ["this clone is shallow: versions were compared with the commits that it has"]


def test_a_hooks_variables_do_not_lead_to_another_repository(
    merged: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "nowhere"))
    assert first_merged(merged, None)
