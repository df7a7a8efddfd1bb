"""The command line of the producer, and what its process is made of: the composition root."""

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any, BinaryIO

import click

from kafkajourney import application
from kafkajourney.avro.catalogue import load
from kafkajourney.command import logs
from kafkajourney.command.options import service_options, settings_options
from kafkajourney.command.running import INTERRUPTED
from kafkajourney.command.signals import Stop, stop_on_signal
from kafkajourney.errors import RecordError, StopError, without_values
from kafkajourney.events import Event
from kafkajourney.kafka import clients, reading
from kafkajourney.producing.ndjson import Reader
from kafkajourney.producing.progress import progress
from kafkajourney.producing.publish import Publisher, paced, until_stopped
from kafkajourney.registry.client import Registry
from kafkajourney.registry.encoder import Encoder
from kafkajourney.settings import Settings
from kafkajourney.state import PARTITION_LIMIT_MIB
from kafkajourney.watching.monitoring import monitored_producer, monitoring_options
from kafkajourney.watching.monitors import Address

log = logging.getLogger("kafkajourney.producer")


class BadLines:
    """The lines of the input that are no events: each is reported, none is passed over silently."""

    def __init__(self, reader: Reader) -> None:
        self.count = 0
        self._reader = reader

    def report(self, number: int, reason: RecordError) -> None:
        """Tell on standard error which line it is and why."""
        self.count += 1
        _tell_refused(f"line {number}", reason, line=number)

    def sift(self, lines: Iterable[bytes]) -> Iterator[Event]:
        """Yield the events of the good lines; report the others."""
        for number, event in self._reader.read(lines):
            if isinstance(event, RecordError):
                self.report(number, event)
            else:
                yield event


Simulate = Callable[[int, int | None], Iterator[Event]]
"""Returns invented events without end, of so many users; the same ones for the same seed."""


def producer_command(simulate: Simulate) -> click.Command:
    """Return the click command that produces what ``simulate`` makes up, or the events of a file."""

    @click.command(name="producer")
    @click.option(
        "--rate",
        type=click.FloatRange(0),
        help="Events a second; 0: as fast as possible.  [default: 1; with --input 0]",
    )
    @click.option("--count", type=click.IntRange(0), help="End after so many events.  [default: until stopped]")
    @click.option("--users", type=click.IntRange(1), default=20, show_default=True, help="Simulated users.")
    @click.option("--seed", type=int, help="Simulate the same journeys, event ids included, each time.")
    @click.option(
        "--input",
        "source",
        type=click.File("rb"),
        metavar="FILE",
        envvar="KAFKAJOURNEY_PRODUCER_INPUT",
        help="Produce the events of this NDJSON file instead (-: standard input), the type of each in `type`.",
    )
    @click.option(
        "--echo", is_flag=True, help="Print each event as the broker confirms it: partition, offset, type, user."
    )
    @monitoring_options
    @settings_options("bootstrap_servers", "schema_registry_url", "topic")
    @service_options()
    def command(settings: Settings, metrics: Address | None, rate: float | None, *, echo: bool, **options: Any) -> int:
        """Simulate users on a web page: one random event each second until stopped.

        Events are keyed by the user, so that a user's events share a partition and keep their order. A bad line of
        --input is reported with its number and reason; all others are produced, and the exit code is 1.
        """
        default_rate = 1.0 if options["source"] is None else 0.0
        with monitored_producer(metrics, settings) as monitor:
            catalogue = load()
            encode = Encoder(Registry(settings), catalogue, settings.topic)
            listeners = [*monitor.listeners, *([_echo] if echo else [])]
            make_producer = partial(clients.producer, settings, monitor.on_statistics)
            publisher = Publisher(make_producer, encode, settings.topic, listeners, monitor.traces, monitor.polled)
            reading.partitions_of(publisher.producer, settings)
            monitor.watch(publisher)
            bad = BadLines(Reader(catalogue, application.current().event_classes))
            rate = default_rate if rate is None else rate
            return _produce(settings, publisher, simulate, bad, rate, echo=echo, **options)

    return command


def _produce(
    settings: Settings,
    publisher: Publisher,
    simulate: Simulate,
    bad: BadLines,
    rate: float,
    count: int | None,
    users: int,
    seed: int | None,
    source: BinaryIO | None,
    *,
    echo: bool,
) -> int:
    began = time.monotonic()
    with stop_on_signal() as stop, progress(count, lambda: publisher.delivered, bar=not echo) as show:
        publisher.give_up = stop.give_up
        # Deliveries are reported also while a line is awaited.
        lines = until_stopped(source or (), stop, partial(publisher.wait, 0))
        events = simulate(users, seed) if source is None else bad.sift(lines)
        try:
            for event in paced(events, rate, count, stop, publisher.wait):
                _publish(publisher, event, bad, stop)
                show()
        finally:  # also where the input ends with an error: what was read of it is produced
            if stop.is_set() and len(kafka := publisher.producer):
                sentence = "waiting for the broker to confirm %d events; Ctrl-C once more gives them up"
                log.info(sentence, len(kafka), extra=logs.event("finishing", events=len(kafka)))
            publisher.finish()
        interrupted = stop.is_set()
    _summarise(publisher, settings.topic, time.monotonic() - began)
    if settings.embedded:
        _require_nothing_dropped(settings)
    if bad.count:
        raise StopError(f"{bad.count} lines were not produced, for the reasons above. Mend and produce them again.")
    return INTERRUPTED if interrupted else 0


def _publish(publisher: Publisher, event: Event, bad: BadLines, stop: Stop) -> None:
    try:
        publisher.publish(event, stop)
    except RecordError as error:
        bad.count += 1
        _tell_refused(f"event {event.event_id}", error, event_id=event.event_id)


def _tell_refused(what: str, reason: RecordError, **fields: object) -> None:
    """Tell why something was not produced; what it says is for who is at the keyboard, and not for a kept log."""
    kept = f"{what}: {without_values(str(reason))}"
    log.warning("%s: %s", what, reason, extra=logs.event("refused", **fields, message=kept))


def _summarise(publisher: Publisher, topic: str, seconds: float) -> None:
    kinds = ", ".join(f"{number} {name}" for name, number in publisher.handed_over.most_common())
    click.echo(f"produced {publisher.delivered} events to {topic} in {seconds:.1f} s" + (f": {kinds}" if kinds else ""))


def _echo(event: Event, message: Any) -> None:
    click.echo(f"producer [{message.partition()}] {message.offset():>6} {type(event).__name__:<15} {event.user_id}")


def _require_nothing_dropped(settings: Settings) -> None:
    """Raise StopError where the embedded broker, which keeps little, has begun to drop the oldest events."""
    reader = clients.reader(settings)
    try:
        partitions = reading.partitions_of(reader, settings)
        dropped = sum(reading.watermarks(reader, settings.topic, partition)[0] for partition in partitions)
    finally:
        reader.close()
    if dropped:
        raise StopError(
            f"The embedded broker has dropped the oldest {dropped} events of {settings.topic}: it keeps "
            f"{PARTITION_LIMIT_MIB} MiB a partition, in memory. Use a real broker for so many (README: ways to run)."
        )
