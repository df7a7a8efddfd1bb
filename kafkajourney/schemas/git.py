"""What git knows of the schema files: their first merged contents, and the folder at a revision."""

import io
import os
import subprocess
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from kafkajourney.errors import StopError

_DEFAULT_BRANCHES = ("origin/HEAD", "origin/main", "origin/master", "main", "master")


_SHORT = 10
"""Digits of a commit that are shown."""


class NoHistoryError(StopError):
    """There is no git here, no repository, or no commit of these files: ``str(error)`` says which."""


@dataclass(frozen=True)
class Merged:
    """A schema file as the first commit that had it."""

    path: Path
    commit: str
    text: str


def first_merged(folder: Path, base: str | None) -> list[Merged]:
    """Return all schema files below ``folder`` that were ever merged, each as it was then.

    ``base`` is the newest commit that counts as merged; without it the commit that ``merge_base`` tells.
    Raises NoHistoryError where there is nothing to compare with, StopError where git does not know ``base``.
    """
    if base and not _exists(folder, base):
        raise _unknown(base)
    newest = base or merge_base(folder)
    log = _git(
        folder, "log", "--reverse", "--format=%H", "--raw", "--no-abbrev", "--no-renames", newest, "--", "*.avsc"
    )
    commit, first = "", dict[Path, tuple[str, str]]()
    for line in log.splitlines():
        if line.startswith(":"):
            _, _, _, blob, rest = line.split(maxsplit=4)
            status, _, name = rest.partition("\t")
            if status != "D":
                first.setdefault(Path(name), (commit, blob))
        elif line:
            commit = line[:_SHORT]
    if not first:
        raise NoHistoryError(f"git has no history of the schemas in {folder}")
    root = _top(folder)
    texts = _blobs(folder, [blob for _, blob in first.values()])
    return [Merged(root / name, commit, texts[blob]) for name, (commit, blob) in first.items()]


def merge_base(folder: Path) -> str:
    """Return the newest commit that counts as merged: HEAD on the default branch, else where this one left it."""
    branch = _git(folder, "rev-parse", "--abbrev-ref", "HEAD").strip()
    known = [name for name in _DEFAULT_BRANCHES if _exists(folder, name)]
    if branch in ("main", "master") or not known:
        return "HEAD"
    return _git(folder, "merge-base", "HEAD", known[0]).strip()


def is_shallow(folder: Path) -> bool:
    """Whether older commits were left out when this repository was cloned."""
    return _git(folder, "rev-parse", "--is-shallow-repository").strip() == "true"


def extract(folder: Path, revision: str, target: Path) -> Path:
    """Write the folder as it was at a revision below ``target``; return where it is there."""
    if not _exists(folder, revision):
        raise _unknown(revision)
    prefix = _git(folder, "rev-parse", "--show-prefix").strip()
    # From the top: git refuses to make an archive in a folder that the revision does not have.
    archive = _run(_top(folder), "archive", "--format=tar", f"{revision}:{prefix}")
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        tar.extractall(target, filter="data")
    return target


def _unknown(revision: str) -> StopError:
    return StopError(f"git knows no revision {revision!r} here. Write a branch, a tag or a commit that it has.")


def _top(folder: Path) -> Path:
    return Path(_git(folder, "rev-parse", "--show-toplevel").strip())


def _exists(folder: Path, revision: str) -> bool:
    try:
        _git(folder, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
    except NoHistoryError:
        return False
    return True


def _blobs(folder: Path, ids: Sequence[str]) -> dict[str, str]:
    """Return the contents of blobs, by id."""
    output = io.BytesIO(_run(folder, "cat-file", "--batch", stdin="\n".join(ids).encode()))
    texts = {}
    for blob in ids:
        size = int(output.readline().split()[2])
        texts[blob] = output.read(size).decode(errors="replace")
        output.read(1)
    return texts


def _git(folder: Path, *arguments: str) -> str:
    return _run(folder, *arguments).decode(errors="replace")


def _run(folder: Path, *arguments: str, stdin: bytes = b"") -> bytes:
    # In a hook git sets variables such as GIT_DIR, which would win over -C.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    command = ["git", "-C", str(folder), "-c", "core.quotePath=false", *arguments]
    try:
        done = subprocess.run(command, input=stdin, capture_output=True, check=False, env=environment)  # noqa: S603 # git
    except OSError as error:
        raise NoHistoryError(f"git cannot be run ({error})") from error
    if done.returncode:
        raise NoHistoryError(f"git says: {done.stderr.decode(errors='replace').strip() or 'no such revision'}")
    return done.stdout
