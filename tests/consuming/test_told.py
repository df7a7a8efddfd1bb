"""What the loop hands on, exactly: to Kafka's client, to the store, to its observers."""

import threading
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException, TopicPartition

from kafkajourney.consuming.assignment import SLICE, SLICE_SECONDS
from kafkajourney.consuming.settling import Told
from kafkajourney.errors import BrokerAwayError, DecodeError, FencedError, RefusedError, StopError, TransientError
from kafkajourney.events import Move
from kafkajourney.watching.observer import Observer, Stored
from tests.support.loop import TOPIC, Bench, Message


class Heard(Observer):
    """Keeps all that it is told, by name."""

    def __init__(self) -> None:
        self.told: list[tuple[str, Any]] = []

    def of(self, name: str) -> list[Any]:
        return [what for told, what in self.told if told == name]


def _keep(name: str) -> Any:
    return lambda self, *arguments, **named: self.told.append((name, (*arguments, *named.values())))


for _name in [name for name in vars(Observer) if not name.startswith("_")]:
    setattr(Heard, _name, _keep(_name))


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
def bench(heard: Heard) -> Bench:
    made = Bench(heard)
    made.assign(0, 1)
    made.turn()
    heard.told.clear()
    return made


# --- the client ------------------------------------------------------------------------------------------------------


def test_partitions_come_and_go_one_by_one_or_all_together_as_the_assignor_has_it(heard: Heard) -> None:
    for incremental, (assign, unassign, taken) in {
        True: ("incremental_assign", "incremental_unassign", [0]),
        False: ("assign", "unassign", []),
    }.items():
        bench = Bench(heard, incremental=incremental)
        bench.assign(0, 1)
        assert bench.consumer.paused == {0, 1}
        bench.revoke(0)
        bench.lose(1)
        assert bench.consumer.calls == [(assign, [0, 1]), (unassign, taken), (unassign, [1] if taken else [])]
    assert heard.of("revoked") == [([0], False), ([1], True)] * 2


def test_where_one_is_assigned_anew_eagerly_those_that_stand_stay_paused() -> None:
    bench = Bench(incremental=False)
    bench.assign(0, 1)
    bench.bounds[1] = BrokerAwayError("no leader")
    bench.consumer.stuck = {0}
    bench.turn()
    assert bench.consumer.calls[-1] == ("assign", [0, 1])
    assert bench.consumer.paused == {1}
    incremental = Bench()
    incremental.assign(0)
    incremental.consumer.stuck = {0}
    incremental.turn()
    assert incremental.consumer.calls[1:] == [("incremental_unassign", [0]), ("incremental_assign", [0])]


def test_the_broker_is_waited_for_where_nothing_goes_on_and_else_not(heard: Heard) -> None:
    bench = Bench(heard, batch_wait=0.07)
    waited: list[float] = []

    def answers(seconds: float) -> Told:
        waited.append(seconds)
        return bench.at_once(5.0)

    bench.loop._bounds.answers = answers  # type: ignore[method-assign]
    bench.bounds[1] = BrokerAwayError("no leader")
    bench.assign(0, 1)
    bench.turn()
    assert heard.of("settled") == [({0: 0},)]
    bench.bounds[1] = (0, 100)
    bench.now = bench.retry_at(1)
    bench.turn()
    assert heard.of("settled") == [({0: 0},), ({1: 0},)]
    assert waited == [0.07, 0.0]


def test_a_client_that_cannot_go_on_yet_is_told_with_its_place(
    bench: Bench, heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    def resume(_partitions: object) -> None:
        raise KafkaException(KafkaError(KafkaError._TRANSPORT))

    monkeypatch.setattr(bench.consumer, "resume", resume)
    bench.assign(0)
    bench.turn()
    assert str(heard.of("failed")[0][0]).startswith("t [0] cannot go on at 0 yet: ")


def test_a_batch_is_asked_for_in_slices_of_messages_and_of_time() -> None:
    bench = Bench(batch_size=250, batch_wait=0.25)
    bench.assign(0)
    bench.turn()
    bench.consumer.asked.clear()
    bench.turn(*(Message(0, n, b"x") for n in range(300)))
    assert [number for number, _ in bench.consumer.asked] == [SLICE, 50]
    assert len(bench.store.values) == 250
    bench.consumer.asked.clear()
    bench.turn(Message(0, 250, b"x"))
    assert [number for number, _ in bench.consumer.asked] == [SLICE, SLICE, SLICE]
    assert [seconds for _, seconds in bench.consumer.asked] == pytest.approx([SLICE_SECONDS, SLICE_SECONDS, 0.05])


def test_the_bytes_of_all_slices_count_together() -> None:
    bench = Bench(batch_wait=10)
    bench.assign(0)
    bench.turn()
    half = bytes(8 * 1024 * 1024)
    bench.consumer.asked.clear()
    bench.consumer.batches = [[Message(0, 0, half)], [Message(0, 1, half)], [Message(0, 2, b"x")]]
    bench.loop.turn()
    assert bench.store.next_offsets[0] == 2
    assert len(bench.consumer.asked) == 2


# --- the store -------------------------------------------------------------------------------------------------------


def test_a_dead_letter_is_stored_with_its_place_and_its_reason(bench: Bench, heard: Heard) -> None:
    bench.store.refused_values = {b"refused"}
    values = [b"bad", b"no row", b"refused", b"good"]
    messages = [Message(0, n, value) for n, value in enumerate(values)]
    bench.turn(*messages)
    found = [(r.topic, r.partition, r.offset, r.message, r.row, r.reason) for r in bench.store.records]
    reasons = ["bad bytes", "no row can be made of it", "too long"]
    assert found[:3] == [(TOPIC, 0, n, messages[n], None, reason) for n, reason in enumerate(reasons)]
    assert found[3] == (TOPIC, 0, 3, messages[3], (b"good",), None)
    told = [(message, type(reason), str(reason)) for message, reason in heard.of("dead_lettered")]
    assert told == [
        (messages[0], DecodeError, "bad bytes"),
        (messages[1], DecodeError, "no row can be made of it"),
        (messages[2], RefusedError, "too long"),
    ]


@pytest.mark.parametrize("together", [True, False], ids=["in one batch", "each a batch"])
@pytest.mark.parametrize("value", [b"bad", b"no row", b"refused"])
def test_a_good_record_ends_a_row_of_dead_letters(value: bytes, *, together: bool) -> None:
    bench = Bench(max_dead_letters=1)
    bench.store.refused_values = {b"refused"}
    bench.assign(0)
    bench.turn()
    messages = [Message(0, n, value if n % 2 else b"good") for n in range(6)]
    for batch in [messages] if together else [[message] for message in messages]:
        bench.turn(*batch)
    assert bench.store.next_offsets[0] == 6
    with pytest.raises(StopError, match=r"More than 1 records in a row .* the last one \(t \[0\] at 6\)"):
        bench.turn(Message(0, 6, value))


def test_a_letter_that_the_broker_has_is_not_sent_again_and_others_are(bench: Bench) -> None:
    bench.store.failures = [TransientError("away")]
    bench.turn(Message(0, 0, b"bad"), Message(1, 0, b"x"))
    bench.now = bench.retry_at()
    bench.turn(Message(0, 0, b"bad"), Message(0, 1, b"bad"))
    assert [offset for offset, _ in bench.dead_letters.sent] == [0, 1]


@pytest.mark.parametrize("error", [FencedError("moved", 0), RefusedError("too long")], ids=["fenced", "refused"])
def test_a_partition_that_is_taken_while_the_batch_is_written_is_left_out_and_no_other(error: Exception) -> None:
    bench = Bench(patience=0.01)
    bench.store.refused_values = {b"refused"}
    bench.assign(0, 1)
    bench.turn()

    def be_taken() -> None:
        bench.store.before_commit = lambda: None
        bench.consumer.during_consume = lambda: bench.revoke(0)
        while bench.loop.positions.offset(0) is not None:
            bench.answer.wait(0.01)
        raise error

    bench.store.before_commit = be_taken
    bench.turn(Message(0, 0, b"a"), Message(1, 0, b"b"), Message(1, 1, b"refused"))
    assert bench.store.values == [b"b"]
    assert bench.store.next_offsets == {0: 0, 1: 2}
    assert bench.loop.positions.going == {1: 2}


# --- the observers ---------------------------------------------------------------------------------------------------


def test_what_is_stored_is_told_with_its_times(bench: Bench, heard: Heard) -> None:
    def take(seconds: float) -> None:
        bench.now += seconds

    store_offsets = bench.consumer.store_offsets
    bench.now = 100.0
    bench.store.before_commit = lambda: take(2.0)

    def store_slowly(offsets: list[TopicPartition]) -> None:
        take(3.0)
        store_offsets(offsets)

    bench.consumer.store_offsets = store_slowly  # type: ignore[method-assign]
    bench.turn(Message(0, 0, b"a"), Message(0, 1, b"passed over"), Message(1, 0, b"bad"))
    [(stored,)] = heard.of("stored")
    moves = {0: Move(0, 2), 1: Move(0, 1)}
    assert isinstance(stored, Stored)
    assert [(r.partition, r.offset) for r in stored.records] == [(0, 0), (1, 0)]
    assert (stored.moves, stored.database_seconds, stored.offsets_seconds) == (moves, 2.0, 3.0)
    assert heard.of("committing") == [(stored.records, moves)]
    assert heard.of("decoded") == [(3, 0.0)]


def test_an_answer_that_is_waited_for_is_told_before_and_after(heard: Heard) -> None:
    bench = Bench(heard, patience=0.01)
    bench.assign(0, 1)
    bench.turn()
    bench.turn_late(Message(0, 0, b"a"))
    assert (heard.of("waiting"), heard.of("answered")) == ([(0.01,)], [({0: 0, 1: 0},)])

    def end() -> None:
        bench.consumer.during_consume = bench.stop.set
        bench.answer.wait()

    bench.answer.clear()
    bench.store.before_commit = end
    bench.turn(Message(0, 1, b"b"))
    assert str(heard.of("failed")[0][0]) == "there was no answer yet when the end was asked for"
    bench.answer.set()


def test_a_partition_that_stops_is_told_with_its_number(bench: Bench, heard: Heard) -> None:
    bench.bounds[1] = (5, 9)
    bench.assign(1)
    bench.turn()
    [(partition, fault)] = heard.of("stopped")
    assert partition == 1
    assert str(fault).endswith(
        "dropped 5 records that were never stored (retention). Nothing was skipped. To accept the gap, set next_offset "
        "in consumer_progress by hand; otherwise restore the topic."
    )


def test_an_outage_is_told_with_its_length(bench: Bench, heard: Heard) -> None:
    bench.now = 50.0
    bench.store.failures = [TransientError("away")]
    bench.turn(Message(0, 0, b"a"))
    began = bench.now
    bench.now = bench.retry_at() + 7
    bench.turn(Message(0, 0, b"a"))
    [(recovered,)] = heard.of("recovered")
    assert recovered == {0: pytest.approx(bench.now - began)}


def test_the_client_is_waited_for_as_it_leaves(heard: Heard) -> None:
    bench = Bench(heard)
    closed = threading.Event()
    bench.consumer.close = lambda: closed.wait(0.3)  # type: ignore[assignment]
    bench.stop.set()
    bench.loop.run()
    assert heard.of("abandoned") == []


def test_nobody_is_waited_for_who_has_given_up(heard: Heard) -> None:
    bench = Bench(heard, closing_patience=1e6)
    never, give_up = threading.Event(), threading.Event()
    bench.consumer.close = never.wait  # type: ignore[assignment]
    bench.stop.set()
    give_up.set()
    bench.loop.run(give_up=give_up)
    bench.loop._assignment.hard_end.disarm()  # this process is to live on
    assert heard.of("abandoned") == [()]
    never.set()
