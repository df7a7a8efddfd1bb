"""What a consumer's process is made of: the composition root."""

import threading
from collections.abc import Callable, Collection, Mapping
from contextlib import closing
from functools import partial

from sqlalchemy import Engine

from kafkajourney import application
from kafkajourney.avro.catalogue import load
from kafkajourney.consuming.caught_up import CaughtUp
from kafkajourney.consuming.dead_letters import DeadLetterTopic
from kafkajourney.consuming.idle import Idle
from kafkajourney.consuming.loop import ConsumeLoop, Options
from kafkajourney.consuming.outside import Remade, Strangers
from kafkajourney.consuming.records import RecordMaker
from kafkajourney.consuming.settling import AskBounds
from kafkajourney.consuming.silence import Silence
from kafkajourney.database.store import Store
from kafkajourney.database.writing import check_row, writer
from kafkajourney.errors import StopError
from kafkajourney.group import Group
from kafkajourney.kafka import bounds, clients, reading
from kafkajourney.kafka.topic_ids import TopicIds
from kafkajourney.registry.absent import AbsentIds
from kafkajourney.registry.client import Registry
from kafkajourney.registry.decoder import Decoder
from kafkajourney.settings import Settings
from kafkajourney.watching.monitors import ConsumerMonitor

GRACE = 2.0
"""Seconds for which a schema id is asked for again that the registry does not have: a node of it may lag."""


class Assembly:
    """A group's consumer, ready to run."""

    def __init__(
        self,
        settings: Settings,
        group: Group,
        options: Options,
        monitor: ConsumerMonitor,
        engine: Engine,
        registry: Registry,
        stop: threading.Event,
    ) -> None:
        self._settings = settings
        self._observer = monitor.observer
        self._silence = Silence(settings.topic, monitor.observer)
        listeners = [self._silence.take, *([monitor.on_statistics] if monitor.on_statistics else [])]
        group_id = settings.group_id(group.name)
        self._consumer = clients.consumer(settings, group_id, *listeners)
        self._asker = clients.asker(settings)
        self._group_id = group_id
        self._topic_id = TopicIds(self._asker, settings.topic)
        self._ask_bounds: AskBounds = partial(bounds.bounds_told, self._asker, settings.topic, topic_id=self._topic_id)
        self._store = Store(engine, settings, group.name, writer(group))
        decode = Decoder(registry, load(), application.current().event_classes, group.wanted, AbsentIds(GRACE))
        self.loop = ConsumeLoop(
            self._consumer,
            self._ask_bounds,
            RecordMaker(settings.topic, decode, group.rows, check_row(engine, group)),
            self._store,
            DeadLetterTopic(partial(clients.dead_letter_producer, settings), settings.topic, group_id),
            self._observer,
            options,
            stop,
        )

    def partitions(self) -> list[int]:
        """Return the topic's partitions; raise StopError where it does not exist, BrokerAwayError in an outage."""
        return reading.partitions_of(self._consumer, self._settings)

    def ends(self, partitions: Collection[int]) -> dict[int, int]:
        """Return the end offset of each of these partitions; raise BrokerAwayError where one is not told."""
        return bounds.ends_told(self._asker, self._settings.topic, partitions)

    def watch(self, ends: Mapping[int, int] | None) -> Callable[[], bool]:
        """Return what looks at the loop before each turn: whether it is idle or hears nothing, and whether it is done.

        It is done once the group has stored everything before ``ends``, or never.
        """
        idle = Idle(
            self.loop.positions,
            partial(reading.require_topic, self._consumer, self._settings),
            partial(reading.owned_partitions, self._asker, self._group_id),
            self._observer,
        )
        strangers = Strangers(self._committed, self._store.progress, self._observer)
        remade = Remade(self._topic_id, self._store.topic_ids, self._store.adopt, self.loop.settle_anew)
        if ends is not None and (fault := self._store.remade(self._topic_id())) is not None:
            raise StopError(str(fault))  # the progress may cover the ends of another topic than it is of
        is_caught_up = _never if ends is None else self._caught_up(ends)

        def look() -> bool:
            idle.look()
            self._silence.look(self.loop.positions.going)
            strangers.look()
            remade.look()
            return is_caught_up()

        return look

    def _committed(self) -> Mapping[int, int]:
        """Ask by a client of its own: this is another thread, and the loop's client may be leaving the group."""
        with closing(clients.reader(self._settings, self._group_id)) as reader:
            return reading.committed(reader, self._settings.topic, reading.partitions_of(reader, self._settings))

    def _caught_up(self, ends: Mapping[int, int]) -> CaughtUp:
        return CaughtUp(
            self._settings.topic,
            ends,
            self.loop.positions,
            lambda: self.loop.patiently(self._store.progress),
            self._ask_bounds,
            lambda error, retry_in: self._observer.failed(error, [], retry_in),
        )


def _never() -> bool:
    return False
