"""``python -m schemas check``: all that must hold before a change of the schemas is merged."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from kafkajourney.avro.catalogue import Catalogue, SchemaVersion, load
from kafkajourney.errors import StopError
from kafkajourney.schemas.checks import classes, evolution, files, history, rules
from kafkajourney.schemas.checks.examples import bad_examples
from kafkajourney.schemas.checks.finding import Finding
from kafkajourney.schemas.git import NoHistoryError, first_merged, is_shallow
from kafkajourney.schemas.simulate import Meeting, simulate


@dataclass
class Report:
    """What was found, and what could not be looked at."""

    findings: list[Finding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    is_readable: bool = True
    """Whether all files could be read, so that a registry can be asked about them."""


def check(folder: Path, base: str | None = None) -> Report:
    """Check the schema files below ``folder``, offline.

    ``base`` is the newest commit that counts as merged; without it HEAD on the default branch, else where the
    branch left that one.
    """
    types, unreadable = files.readable(folder)
    report = Report([*unreadable, *files.unreferenced(folder)], is_readable=not unreadable)
    for versions in types.values():
        report.findings += _of_a_type(versions)
    report.findings += evolution.named_twice([versions[-1] for versions in types.values() if versions])
    _compare_with_history(report, folder, base)
    if report.is_readable:
        _check_loaded(report, folder)
    return report


def _of_a_type(versions: Sequence[SchemaVersion]) -> Iterator[Finding]:
    """Yield what is wrong with the versions of a type; what is told of a field once is not told again."""
    told = set()
    for finding in (
        *(finding for version in versions for finding in (*rules.broken(version), *bad_examples(version))),
        *(list(evolution.renamed(versions)) or evolution.incompatible(versions)),
        *evolution.other_meaning(versions),
        *evolution.unchanged(versions),
    ):
        if (finding.path, finding.subject) not in told:
            yield finding
        told.add((finding.path, finding.subject))


def _compare_with_history(report: Report, folder: Path, base: str | None) -> None:
    try:
        report.findings += history.changed(first_merged(folder, base))
        if is_shallow(folder):
            report.notes.append("this clone is shallow: versions were compared with the commits that it has")
    except NoHistoryError as error:
        report.notes.append(f"not compared with what was merged before: {error}")


def _check_loaded(report: Report, folder: Path) -> None:
    """Check what needs all types together; the examples' journey only where nothing else is wrong."""
    try:
        catalogue = load(folder)
    except StopError as error:
        if not report.findings:
            path, _, rest = str(error).partition(": ")
            report.findings.append(Finding(Path(path), "the catalogue", "cannot be loaded", "no command starts", rest))
        return
    report.findings += classes.outdated(catalogue, folder / "events.py")
    if not report.findings:
        report.findings += _lost(catalogue)


def _lost(catalogue: Catalogue) -> Iterator[Finding]:
    """Find versions whose examples do not reach every reader as they were written."""
    for meeting in simulate(catalogue):
        if meeting.problem:
            yield Finding(
                meeting.writer.examples_path,
                meeting.writer.name,
                f"does not arrive as it was written ({meeting.problem})",
                f"{_reader(meeting)} misread what writers of version {meeting.writer.version} write",
                "Correct the example, or keep the field's type and add another field.",
            )


def _reader(meeting: Meeting) -> str:
    return f"readers of version {meeting.reader}" if meeting.reader else "readers that do not know the type"
