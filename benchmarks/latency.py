"""From ``produce`` to visible in the database, at a steady rate.

A reader polls the database for rows that it has not seen, without a pause but for a millisecond, and takes its clock
when it has them. The time of ``produce`` is the record's own timestamp, which the client sets in that call. Both are of
one machine and in whole milliseconds or finer: what is measured is at most a poll and a millisecond too much.
"""

import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from benchmarks.bench import SIMULATED, Bench, tell
from benchmarks.measure import Process, python
from benchmarks.stats import percentile
from benchmarks.watch import Query, reader
from kafkajourney.embedded.stack import environment
from kafkajourney.errors import StopError
from kafkajourney.kafka import clients, reading
from kafkajourney.settings import TOML_FILE, Settings
from tests.stack.real import PARTITIONS, prepare

RATES = (100, 2000)
WARM_UP_EVENTS = 30
WARM_UP = 1.0
"""Seconds at the beginning that do not count: the producer's connections, the first batches."""
PAUSE = 0.001
DEADLINE = 30.0
"""Seconds without a new row."""

Place = tuple[int, int]


class Profile(NamedTuple):
    """Settings that trade latency for throughput."""

    name: str
    consumer: tuple[str, ...]
    kafka: Mapping[str, str]


PROFILES = (
    Profile("default", (), {}),
    Profile("low latency", ("--batch-wait", "0.005"), {"linger.ms": "1"}),
    Profile("high throughput", ("--batch-wait", "1", "--batch-size", "10000"), {"linger.ms": "100"}),
)
CASES = (
    *(("sqlite", PROFILES[0], rate) for rate in RATES),
    *(("postgresql", profile, rate) for profile in PROFILES for rate in RATES),
)


class Seen(NamedTuple):
    """When each event was seen, in seconds of the clock, and how long each poll took."""

    at: dict[Place, float]
    polls: list[float]


def measure(bench: Bench) -> list[dict[str, Any]]:
    """Return one row for each database, profile and rate: the percentiles of each repetition, in milliseconds."""
    found: dict[int, list[dict[str, float]]] = defaultdict(list)
    for repetition in range(bench.repeat):
        for number, (database, profile, rate) in enumerate(CASES):
            topic = f"latency-{number}-{repetition}"
            with bench.database(database, topic) as settings:
                prepare(settings)
                found[number].append(_run(settings, profile, rate, round(rate * bench.seconds)))
            tell(f"{database} {profile.name} {rate}/s: {found[number][-1]}")
    return [
        {"database": database, "profile": profile.name, "rate": rate, "runs": found[number]}
        | {"options": [*profile.consumer, *(f"{name}={value}" for name, value in profile.kafka.items())]}
        for number, (database, profile, rate) in enumerate(CASES)
    ]


def _run(settings: Settings, profile: Profile, rate: int, events: int) -> dict[str, float]:
    query = reader(settings.database_url)
    with _folder(profile) as folder, _running(settings, folder, "consumers.journey", *profile.consumer):
        with _running(settings, folder, "producer", "--count", str(WARM_UP_EVENTS), "--rate", "0"):
            _watch(query, settings.topic, WARM_UP_EVENTS)  # the consumer has its partitions
        with _running(settings, folder, "producer", "--rate", str(rate), "--count", str(events), *SIMULATED):
            seen = _watch(query, settings.topic, WARM_UP_EVENTS + events)
    produced = _timestamps(settings)
    begin = sorted(produced.values())[WARM_UP_EVENTS] + WARM_UP
    delays = [(at - produced[place]) * 1000 for place, at in seen.at.items() if produced[place] >= begin]
    names = {"p50": 50.0, "p95": 95.0, "p99": 99.0, "p99.9": 99.9}
    return (
        {"events": len(delays)}
        | {name: percentile(delays, part) for name, part in names.items()}
        | {"max": max(delays), "poll": percentile([poll * 1000 for poll in seen.polls], 50)}
    )


def _watch(query: Query, topic: str, events: int) -> Seen:
    """Poll until so many events were seen."""
    seen = Seen({}, [])
    following = dict.fromkeys(range(PARTITIONS), 0)
    began = newest = time.time()
    while len(seen.at) < events:
        places = query(_unseen(topic, following))
        now = time.time()
        seen.polls.append(now - began)
        for partition, offset in places:
            seen.at[partition, offset] = now
            following[partition] = max(following[partition], offset + 1)
        newest = now if places else newest
        if now > newest + DEADLINE:
            raise StopError(f"{len(seen.at)} of {events} events can be seen, and no more come.")
        began = now
        time.sleep(PAUSE)
    return seen


def _unseen(topic: str, following: Mapping[int, int]) -> str:
    """Return the query for what comes after these offsets: a range of the primary key for each partition."""
    return " UNION ALL ".join(
        'SELECT "partition", "offset" FROM journey_events '
        f'WHERE topic = \'{topic}\' AND "partition" = {partition} AND "offset" >= {offset}'
        for partition, offset in following.items()
    )


def _timestamps(settings: Settings) -> dict[Place, float]:
    """Return the time of each record of the topic, in seconds."""
    consumer = clients.reader(settings)
    try:
        return {
            (partition, message.offset()): message.timestamp()[1] / 1000
            for partition, end in reading.end_offsets(settings).items()
            for message in reading.records(consumer, settings.topic, partition, 0, end)
        }
    finally:
        consumer.close()


@contextmanager
def _folder(profile: Profile) -> Iterator[Path]:
    """Yield a working folder with the profile's Kafka properties."""
    with TemporaryDirectory(prefix="kafkajourney-") as name:
        lines = ["[kafka]", *(f'"{key}" = "{value}"' for key, value in profile.kafka.items())]
        (Path(name) / TOML_FILE).write_text("\n".join(lines) + "\n", encoding="utf-8")
        yield Path(name)


@contextmanager
def _running(settings: Settings, folder: Path, *arguments: str) -> Iterator[None]:
    """Run a command of ours; let it end, or end it, with the block."""
    process = Process(python(*arguments), environment(settings), folder)
    try:
        yield
        process.stop()
    finally:
        process.kill()
