"""From a look to the state of the groups. The JSON has the same names; None is what is not known, or not there."""

from collections.abc import Iterator
from dataclasses import dataclass

from kafkajourney.control.lookout import Look, Member, Problem, Stored


@dataclass(frozen=True)
class Partition:
    """How far a group is in one partition."""

    partition: int
    member_id: str | None
    first_offset: int | None
    end_offset: int | None
    next_offset: int | None
    committed_offset: int | None
    lag_records: int | None
    oldest_unstored_seconds: float | None


@dataclass(frozen=True)
class Group:
    """A consumer group."""

    group: str
    members: list[Member] | None
    lag_records: int | None
    records_per_second: float | None
    oldest_unstored_seconds: float | None
    dead_letters_open: int | None
    dead_letters_replayed: int | None
    partitions: list[Partition]


@dataclass(frozen=True)
class Status:
    """All of it."""

    at: str
    topic: str
    groups: list[Group]
    problems: list[Problem]
    notes: list[str]


def status_of(topic: str, look: Look, before: Stored | None) -> Status:
    """Return what a look says; the rate is what was stored since ``before``."""
    groups = [_group(name, look, before) for name in look.groups]
    found = (sentence for group in groups for sentence in (*gaps(group), *remade(group.group, look)))
    problems = [*look.problems, *(Problem("progress", sentence) for sentence in found)]
    notes = [*look.notes, *(sentence for group in groups for sentence in strangers(group.group, look))]
    at = look.at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return Status(at, topic, groups, problems, notes)


def _group(name: str, look: Look, before: Stored | None) -> Group:
    progress = look.stored.progress.get(name, {}) if look.stored else {}
    letters, replayed = look.stored.letters.get(name, (0, 0)) if look.stored else (None, None)
    partitions = [_partition(p, name, look, progress.get(p)) for p in sorted(look.bounds.keys() | progress.keys())]
    lags = [p.lag_records for p in partitions if p.lag_records is not None]
    ages = [p.oldest_unstored_seconds for p in partitions if p.oldest_unstored_seconds is not None]
    return Group(
        name,
        look.members.get(name),
        sum(lags) if look.bounds and len(lags) == len(partitions) else None,
        _rate(name, look, before),
        max(ages, default=None),
        None if letters is None or replayed is None else letters - replayed,
        replayed,
        partitions,
    )


def _partition(partition: int, group: str, look: Look, next_offset: int | None) -> Partition:
    first, end = look.bounds.get(partition, (None, None))
    start, stop = look.unstored(group).get(partition, (None, None))
    made = look.oldest.get(group, {}).get(partition)
    owners = [member.member_id for member in look.members.get(group, []) if partition in member.partitions]
    return Partition(
        partition,
        owners[0] if owners else None,
        first,
        end,
        next_offset,
        look.committed.get(group, {}).get(partition),
        None if start is None or stop is None else stop - start,
        None if made is None else max(0.0, round(look.at.timestamp() - made / 1000, 3)),
    )


def _rate(group: str, look: Look, before: Stored | None) -> float | None:
    if before is None or look.stored is None or look.stored.clock <= before.clock:
        return None
    firsts = {partition: first for partition, (first, _end) in look.bounds.items()}
    old = firsts | before.progress.get(group, {})
    moved = sum(
        offset - old.get(partition, offset) for partition, offset in look.stored.progress.get(group, {}).items()
    )
    return round(moved / (look.stored.clock - before.clock), 1)


def remade(group: str, look: Look) -> Iterator[str]:
    """Yield a sentence where the progress is of a topic that is no longer there."""
    if look.topic_id is not None and look.topic_ids(group) - {look.topic_id}:
        yield (
            f"The progress of {group} is of a topic that was deleted; the one that is there was made anew. See "
            "docs/operations.md, A gap."
        )


def strangers(group: str, look: Look) -> Iterator[str]:
    """Yield a sentence where the group's committed offsets are not of this database."""
    if found := look.committed_beyond(group):
        places = ", ".join(f"partition {p}: {offset}" for p, (offset, _stored) in sorted(found.items()))
        yield (
            f"{group} has committed offsets that this database has not reached ({places}): it was restored, or "
            "consumers with another database are in the group. Then give one deployment a group_prefix."
        )


def gaps(group: Group) -> Iterator[str]:
    """Yield a sentence for each partition in which the topic does not have what the group needs next."""
    for p in group.partitions:
        if p.next_offset is None or p.first_offset is None or p.end_offset is None:
            continue
        if not p.first_offset <= p.next_offset <= p.end_offset:
            yield (
                f"{group.group} goes on at offset {p.next_offset} of partition {p.partition}, but the topic has "
                f"{p.first_offset} to {p.end_offset}: its consumers stop there. See docs/operations.md, A gap."
            )
