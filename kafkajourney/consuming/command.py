"""The command line of every consumer."""

import gc
import logging
import os
from collections.abc import Callable
from functools import partial
from typing import Any

import click

from kafkajourney.command.logs import event
from kafkajourney.command.options import SETTINGS, service_options, settings_options
from kafkajourney.command.running import INTERRUPTED
from kafkajourney.command.signals import stop_on_signal
from kafkajourney.consuming.assembly import Assembly
from kafkajourney.consuming.loop import Options
from kafkajourney.consuming.start import awaited
from kafkajourney.database import engines, revisions
from kafkajourney.errors import BrokerAwayError, ClientLostError
from kafkajourney.group import Group
from kafkajourney.kafka import clients
from kafkajourney.registry.client import Registry
from kafkajourney.settings import Settings
from kafkajourney.watching.monitoring import monitored_consumer, monitoring_options
from kafkajourney.watching.monitors import Address, ConsumerMonitor
from kafkajourney.watching.observer import Observer, Stored

log = logging.getLogger("kafkajourney.consumer")


def consumer_command(group: Group, help: str) -> click.Command:  # noqa: A002 # click's own name for it
    """Return the click command that runs a consumer of this group."""

    @click.command(name=f"consumers.{group.name}", help=help)
    @click.option("--echo", is_flag=True, help="Print each event as it is stored: partition, offset, type, user.")
    @click.option(
        "--until-caught-up",
        is_flag=True,
        help="End once the group has stored everything that is on the topic now.",
    )
    @click.option(
        "--batch-size",
        type=click.IntRange(1, 100_000),
        default=2000,
        show_default=True,
        envvar="KAFKAJOURNEY_BATCH_SIZE",
        help="Records in one transaction, at most.",
    )
    @click.option(
        "--batch-wait",
        type=click.FloatRange(0.001, 60),
        default=0.05,
        show_default=True,
        envvar="KAFKAJOURNEY_BATCH_WAIT",
        help="Seconds to wait for a batch to fill: less for lower latency, more for higher throughput.",
    )
    @click.option(
        "--max-dead-letters",
        type=click.IntRange(0),
        default=100,
        show_default=True,
        envvar="KAFKAJOURNEY_MAX_DEAD_LETTERS",
        help="Stop with an error after more than this many dead letters in a row.",
    )
    @monitoring_options
    @settings_options(*SETTINGS)
    @service_options(group=group.name)
    def command(
        settings: Settings,
        metrics: Address | None,
        *,
        echo: bool,
        until_caught_up: bool,
        **options: Any,
    ) -> int:
        loop_options = Options(settings.topic, clients.is_incremental(settings), **options)
        more = [Echo(group.name)] if echo else []
        with monitored_consumer(metrics, settings, group.name, *more) as monitor:
            return _run(settings, group, loop_options, monitor, until_caught_up=until_caught_up)

    return command


def _run(
    settings: Settings,
    group: Group,
    options: Options,
    monitor: ConsumerMonitor,
    *,
    until_caught_up: bool,
) -> int:
    engine = engines.engine(settings)
    registry = Registry(settings, max_retries=0)  # the loop tries again by itself, polling meanwhile
    # What the imports left stays, and a batch is more objects than the collector waits for by default: without these
    # two it would walk through all of it for every few batches, and find nothing.
    gc.freeze()
    gc.set_threshold(50_000)
    with stop_on_signal() as stop:

        def look_around(made: Assembly) -> tuple[int, Callable[[], bool]]:
            revisions.require_revisions(engine, settings)
            registry.subjects()
            partitions = made.partitions()
            return len(partitions), made.watch(made.ends(partitions) if until_caught_up else None)

        def consume() -> None:
            made = Assembly(settings, group, options, monitor, engine, registry, stop)
            if (found := awaited(partial(look_around, made), stop, monitor.observer)) is None:
                return
            number, is_done = found
            _tell_started(settings, group, number)
            try:
                made.loop.run(is_done, stop.give_up)
            except ClientLostError as lost:
                monitor.observer.revoked(list(made.loop.positions.assigned), lost=True)
                raise BrokerAwayError(f"{lost} Another client is made.") from lost

        awaited(consume, stop, monitor.observer)
        interrupted = stop.is_set()
    engine.dispose()
    name, words = ("stopped", "stopped, nothing is left half done") if interrupted else ("caught_up", "caught up")
    log.info("%s: %s", group.name, words, extra=event(name))
    return INTERRUPTED if interrupted else 0


def _tell_started(settings: Settings, group: Group, partitions: int) -> None:
    fields = event("started", topic=settings.topic, pid=os.getpid())
    sentence = "%s: reading %s (%d partitions), pid %d"
    log.info(sentence, group.name, settings.topic, partitions, os.getpid(), extra=fields)


class Echo(Observer):
    """Prints each event as it is stored."""

    def __init__(self, group: str) -> None:
        self._group = group

    def stored(self, batch: Stored) -> None:  # noqa: D102 # Observer says it
        for record in batch.records:
            if record.decoded is not None:
                kind, user_id = record.decoded.event_type, record.decoded.event.user_id
                click.echo(f"{self._group} [{record.partition}] {record.offset:>6} {kind:<15} {user_id}")
