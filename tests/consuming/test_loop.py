"""The consume loop on fakes: what is written, stored and set aside, and what happens when things fail."""

import threading

import pytest
from confluent_kafka import KafkaError, KafkaException

from kafkajourney.errors import (
    StopError,
    TransientError,
)
from kafkajourney.events import Move
from kafkajourney.watching.observer import Batch
from tests.support.loop import Bench, Message
from tests.support.processes import wait_for


@pytest.fixture
def bench() -> Bench:
    made = Bench()
    made.assign(0, 1)
    made.turn()
    return made


def test_offsets_are_stored_after_the_commit(bench: Bench) -> None:
    bench.turn(Message(0, 0, b"a"), Message(1, 0, b"b"), Message(0, 1, b"c"))
    assert bench.log == ["confirm", "commit", "store"]
    assert bench.store.values == [b"a", b"b", b"c"]
    assert bench.consumer.stored == bench.store.next_offsets == {0: 2, 1: 1}


def test_an_assigned_partition_starts_at_the_offset_of_the_database() -> None:
    bench = Bench()
    bench.store.next_offsets = {0: 42}
    bench.assign(0, 1)
    assert bench.consumer.paused == {0, 1}
    bench.turn()
    assert sorted(bench.consumer.seeks) == [(0, 42), (1, 0)]
    assert bench.consumer.paused == set()


def test_a_partition_that_was_never_begun_starts_at_the_first_offset_that_the_topic_has() -> None:
    bench = Bench()
    bench.bounds[0] = (7, 100)
    bench.assign(0)
    bench.turn()
    assert bench.consumer.seeks == [(0, 7)]


@pytest.mark.parametrize(("position", "why"), [(5, "dropped 5 records"), (101, "ends at 100")])
def test_a_gap_between_database_and_topic_stops_the_loop(position: int, why: str) -> None:
    bench = Bench()
    bench.bounds[0] = (10, 100)
    bench.store.next_offsets = {0: position}
    bench.assign(0)
    with pytest.raises(StopError, match=why):
        bench.turn()
    assert bench.consumer.seeks == []


def test_records_passed_over_advance_the_progress(bench: Bench) -> None:
    bench.turn(Message(0, 0, b"passed over"), Message(0, 1, b"passed over"))
    assert bench.store.values == []
    assert bench.store.next_offsets[0] == 2


def test_the_end_of_a_partition_counts_as_reached_behind_transaction_markers(bench: Bench) -> None:
    bench.turn(Message(0, 0, b"a"), Message(0, 3, None, error=KafkaError._PARTITION_EOF))
    assert bench.store.next_offsets[0] == 3


def test_the_end_of_a_partition_that_is_known_changes_nothing(bench: Bench) -> None:
    bench.turn(Message(0, 0, None, error=KafkaError._PARTITION_EOF))
    assert "commit" not in bench.log


def test_undecodable_records_are_set_aside_and_confirmed_before_the_offset_advances(bench: Bench) -> None:
    bench.log.clear()
    bench.turn(Message(0, 0, b"a"), Message(0, 1, b"bad"), Message(0, 2, b"b"), Message(0, 3, None))
    assert bench.log == ["dead letter", "dead letter", "confirm", "commit", "store"]
    assert [offset for offset, _ in bench.dead_letters.sent] == [1, 3]
    assert bench.store.values == [b"a", b"b"]
    assert bench.store.next_offsets[0] == 4


def test_a_refused_row_is_found_by_halving_and_the_others_are_stored_in_order(bench: Bench) -> None:
    bench.store.refused = {b"3", b"6"}
    bench.turn(*(Message(0, n, str(n).encode()) for n in range(8)))
    assert bench.store.values == [b"0", b"1", b"2", b"4", b"5", b"7"]
    assert bench.dead_letters.sent == [(3, "too long"), (6, "too long")]
    assert bench.store.next_offsets[0] == 8


def test_too_many_dead_letters_in_a_row_stop_the_loop() -> None:
    bench = Bench(max_dead_letters=2)
    bench.assign(0)
    bench.turn()
    bench.turn(Message(0, 0, b"bad"), Message(0, 1, b"bad"), Message(0, 2, b"ok"), Message(0, 3, b"bad"))
    with pytest.raises(StopError, match=r"More than 2 records in a row.*at 5.*bad bytes"):
        bench.turn(Message(0, 4, b"bad"), Message(0, 5, b"bad"))
    assert bench.store.next_offsets[0] == 4


def test_an_outage_does_not_count_or_send_the_same_dead_letters_again() -> None:
    bench = Bench(max_dead_letters=3)
    bench.assign(0)
    bench.turn()
    poison = [Message(0, n, b"bad") for n in range(3)]
    for _ in range(5):
        bench.store.failures = [TransientError("away")]
        bench.turn(*poison)
        bench.now = bench.loop._backoff.retry_at
    bench.turn(*poison, Message(0, 3, b"a"))
    assert bench.dead_letters.sent == [(0, "bad bytes"), (1, "bad bytes"), (2, "bad bytes")]
    assert bench.store.next_offsets[0] == 4


def test_dead_letters_that_were_not_confirmed_are_sent_again(bench: Bench) -> None:
    confirm, bench.dead_letters.confirm = bench.dead_letters.confirm, away  # type: ignore[method-assign]
    bench.turn(Message(0, 0, b"bad"))
    bench.dead_letters.confirm = confirm  # type: ignore[method-assign]
    bench.now = 10
    bench.turn(Message(0, 0, b"bad"))
    assert len(bench.dead_letters.sent) == 2
    assert bench.store.next_offsets[0] == 1


def away() -> None:
    raise TransientError("not confirmed")


def test_a_commit_that_is_only_late_is_no_outage() -> None:
    bench = Bench(patience=0.01)
    bench.assign(0)
    bench.turn()
    for offset in range(4):
        late = threading.Event()
        bench.store.before_commit = late.wait
        bench.consumer.during_consume = None
        bench.turn_with(late, Message(0, offset, b"a"))
        bench.now = bench.loop._backoff.retry_at
        bench.store.before_commit = lambda: None
        bench.turn()
    assert bench.loop._backoff.failures <= 1
    assert bench.store.next_offsets[0] == 4


def test_a_commit_that_comes_late_is_told_of() -> None:
    bench = Bench(patience=0.01)
    bench.assign(0)
    bench.turn()
    told: list[Batch] = []
    bench.loop._observer.stored = told.append  # type: ignore[assignment,method-assign]
    late = threading.Event()
    bench.store.before_commit = late.wait
    bench.turn_with(late, Message(0, 0, b"a"))
    assert [batch.moves for batch in told] == [{0: Move(0, 1)}]


def test_a_refusal_that_comes_late_makes_the_next_batch_smaller() -> None:
    bench = Bench(patience=0.01)
    bench.assign(0)
    bench.turn()
    bench.store.refused = {b"bad row"}
    late = threading.Event()
    bench.store.before_commit = late.wait
    bench.turn_with(late, Message(0, 0, b"bad row"))
    assert bench.loop._batch_size == bench.loop._options.batch_size // 2
    bench.store.before_commit = lambda: None
    bench.now = bench.loop._backoff.retry_at
    bench.turn()
    bench.turn(Message(0, 0, b"bad row"))
    assert bench.store.next_offsets[0] == 1
    assert len(bench.dead_letters.sent) == 1
    assert bench.loop._batch_size == bench.loop._options.batch_size


def test_refused_rows_with_good_ones_between_are_not_in_a_row() -> None:
    bench = Bench(max_dead_letters=2)
    bench.assign(0)
    bench.turn()
    bench.store.refused = {b"bad row"}
    bench.turn(*(Message(0, n, b"bad row" if n % 2 else b"a") for n in range(12)))
    assert len(bench.dead_letters.sent) == 6
    assert bench.store.next_offsets[0] == 12


def test_too_many_refused_rows_in_a_row_stop_the_loop_however_small_the_batches() -> None:
    bench = Bench(max_dead_letters=2)
    bench.assign(0)
    bench.turn()
    bench.store.refused = {b"bad row"}
    bench.turn(Message(0, 0, b"bad row"))
    bench.turn(Message(0, 1, b"bad row"))
    with pytest.raises(StopError, match="More than 2 records in a row"):
        bench.turn(Message(0, 2, b"bad row"))
    assert bench.store.next_offsets[0] == 2


def test_after_an_outage_the_loop_goes_on_from_the_database(bench: Bench) -> None:
    bench.store.failures = [TransientError("away"), TransientError("still away")]
    bench.turn(Message(0, 0, b"a"))
    assert bench.consumer.paused == {0, 1}
    bench.now += 0.6
    bench.turn()  # the second failure
    bench.turn(Message(0, 1, b"b"))  # too early to try again, and the record is dropped: it will be fetched again
    assert bench.store.values == []
    bench.consumer.seeks.clear()
    bench.now += 1.1
    bench.turn(Message(0, 0, b"a"), Message(0, 1, b"b"))
    assert sorted(bench.consumer.seeks) == [(0, 0), (1, 0)]
    assert bench.consumer.paused == set()
    assert bench.store.values == [b"a", b"b"]
    assert bench.dead_letters.sent == []


def test_a_fenced_consumer_writes_nothing_and_asks_the_database_again(bench: Bench) -> None:
    bench.store.next_offsets[0] = 10  # another consumer was here
    bench.turn(Message(0, 0, b"a"))
    assert bench.store.values == []
    assert bench.consumer.stored == {}
    bench.now += 1
    bench.turn(Message(0, 10, b"k"))
    assert bench.store.values == [b"k"]


def test_a_restored_database_is_refilled(bench: Bench) -> None:
    bench.turn(*(Message(0, n, str(n).encode()) for n in range(5)))
    bench.store.next_offsets[0] = 2
    bench.store.values = [b"0", b"1"]
    bench.turn(Message(0, 5, b"5"))
    bench.now += 1
    bench.turn(*(Message(0, n, str(n).encode()) for n in range(2, 6)))
    assert bench.store.values == [b"0", b"1", b"2", b"3", b"4", b"5"]


def test_records_of_a_partition_that_was_revoked_during_consume_are_dropped(bench: Bench) -> None:
    bench.consumer.during_consume = lambda: bench.revoke(0)
    bench.turn(Message(0, 0, b"a"), Message(1, 0, b"b"))
    assert bench.store.values == [b"b"]
    assert bench.store.next_offsets[0] == 0


def test_records_of_a_partition_that_came_back_during_consume_are_dropped(bench: Bench) -> None:
    def go_and_come_back() -> None:
        bench.revoke(0)
        bench.assign(0)

    bench.consumer.during_consume = go_and_come_back
    bench.turn(Message(0, 30, b"stale"))
    assert bench.store.values == []
    bench.turn(Message(0, 0, b"a"))
    assert bench.store.values == [b"a"]


def test_records_that_were_stored_before_are_passed_over() -> None:
    bench = Bench()
    bench.store.next_offsets = {0: 2}
    bench.assign(0)
    bench.turn(Message(0, 0, b"a"), Message(0, 1, b"b"), Message(0, 2, b"c"))
    assert bench.store.values == [b"c"]


def test_a_crash_between_commit_and_store_repeats_nothing(bench: Bench) -> None:
    bench.consumer.store_error = KafkaError._FAIL  # the process ends here
    with pytest.raises(KafkaException):
        bench.turn(Message(0, 0, b"a"), Message(0, 1, b"b"))
    assert bench.consumer.stored == {}
    after = Bench()
    after.store.next_offsets, after.store.values = bench.store.next_offsets, bench.store.values
    after.assign(0)
    after.turn(*(Message(0, n, value) for n, value in enumerate([b"a", b"b", b"c"])))
    assert after.consumer.seeks == [(0, 2)]
    assert after.store.values == [b"a", b"b", b"c"]


def test_an_offset_that_cannot_be_stored_since_the_partition_was_lost_is_no_failure(bench: Bench) -> None:
    bench.consumer.store_error = KafkaError._STATE
    bench.turn(Message(0, 0, b"a"))
    assert bench.store.next_offsets[0] == 1
    bench.consumer.store_error = KafkaError._FAIL
    with pytest.raises(KafkaException):
        bench.turn(Message(0, 1, b"b"))


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (KafkaError.UNSUPPORTED_VERSION, "group.protocol"),
        (KafkaError.UNKNOWN_TOPIC_OR_PART, "kafkajourney topic create"),
        (KafkaError.GROUP_AUTHORIZATION_FAILED, "refuses access"),
    ],
)
def test_errors_that_no_retry_mends_stop_the_loop(bench: Bench, code: int, words: str) -> None:
    with pytest.raises(StopError, match=words):
        bench.turn(Message(0, 0, None, error=code))


def test_other_errors_of_the_broker_are_waited_out(bench: Bench) -> None:
    bench.turn(Message(0, 0, b"a"), Message(0, 1, None, error=KafkaError._TRANSPORT))
    assert bench.consumer.paused == {0, 1}
    bench.now += 1
    bench.turn(Message(0, 0, b"a"))
    assert bench.store.values == [b"a"]


def test_caught_up_means_the_whole_group(bench: Bench) -> None:
    bench.turn(Message(0, 0, b"a"))
    assert not bench.loop.has_reached({0: 1, 1: 0, 2: 4})  # another consumer's partition is behind
    bench.store.next_offsets[2] = 4
    assert bench.loop.has_reached({0: 1, 1: 0, 2: 4})
    assert not bench.loop.has_reached({0: 2, 1: 0, 2: 4})


def test_an_idle_consumer_says_so_once(caplog: pytest.LogCaptureFixture) -> None:
    bench = Bench(idle_after=5)
    with caplog.at_level("INFO", "kafkajourney"):
        bench.turn()
        assert "idle" not in caplog.text
        bench.now = 5.0
        bench.turn()
        bench.turn()
        assert caplog.text.count("idle") == 1
        bench.assign(0)
        bench.turn()
        bench.revoke(0)
        bench.now = 10.0
        bench.turn()
        assert caplog.text.count("idle") == 2


def test_an_idle_consumer_notices_that_the_topic_is_gone() -> None:
    bench = Bench(idle_after=5)
    bench.now = 5.0
    bench.turn()
    bench.topic_is_gone = True
    bench.now = 60.0
    bench.turn()
    bench.now = 65.0
    with pytest.raises(StopError, match="gone"):
        bench.turn()


def test_the_waits_grow_until_something_is_committed_again(bench: Bench) -> None:
    waits = []
    for _ in range(6):
        bench.consumer.batches = []
        bench.turn(Message(0, 0, b"away"))
        waits.append(bench.loop._backoff.retry_at - bench.now)
        bench.now = bench.loop._backoff.retry_at
    assert waits[-1] > 8
    bench.turn(Message(0, 0, b"a"))
    bench.store.failures = [TransientError("again")]
    bench.turn(Message(0, 1, b"b"))
    assert bench.loop._backoff.retry_at - bench.now <= 0.5


def test_leaving_takes_no_longer_than_is_allowed() -> None:
    bench = Bench(closing_patience=0.01)
    never, stop = threading.Event(), threading.Event()
    bench.consumer.close = never.wait  # type: ignore[assignment]
    stop.set()
    bench.loop.run(stop)
    never.set()


def test_the_consumer_is_closed_however_the_loop_ends() -> None:
    bench = Bench()
    bench.store.failures = [StopError("wrong deployment")]
    bench.assign(0)
    with pytest.raises(StopError):
        bench.loop.run(threading.Event())
    assert bench.log[-1] == "close"


def test_the_loop_ends_once_the_group_has_caught_up(bench: Bench) -> None:
    bench.consumer.batches = [[Message(0, 0, b"a")], [], [Message(0, 1, b"b")], [Message(0, 2, b"too many")]]
    bench.loop.run(threading.Event(), ends={0: 2})
    assert bench.store.values == [b"a", b"b"]


def test_polling_goes_on_while_the_database_hangs() -> None:
    bench = Bench(patience=0.01)
    bench.assign(0, 1)
    bench.turn()
    answer, polls = threading.Event(), 0

    def poll_and_answer_in_the_end() -> None:
        nonlocal polls
        polls += 1
        bench.consumer.during_consume = poll_and_answer_in_the_end
        if polls == 2:
            bench.revoke(1)
        if polls == 10:
            answer.set()

    bench.consumer.during_consume = poll_and_answer_in_the_end
    bench.store.before_commit = answer.wait
    bench.turn(Message(0, 0, b"a"))
    assert polls >= 10
    assert bench.consumer.paused == {0, 1}
    bench.consumer.during_consume = None
    bench.store.before_commit = lambda: None
    bench.now += 1
    wait_for(lambda: bench.store.values == [b"a"])  # what took so long came to its end all the same
    bench.consumer.seeks.clear()
    bench.turn(Message(0, 0, b"a"), Message(0, 1, b"b"))
    assert bench.consumer.seeks == [(0, 1)]
    assert bench.store.values == [b"a", b"b"]


def test_a_signal_ends_the_loop_while_the_database_hangs() -> None:
    bench = Bench(patience=0.01)
    bench.assign(0)
    bench.turn()
    stop, never = threading.Event(), threading.Event()
    bench.store.before_commit = never.wait
    bench.consumer.batches = [[Message(0, 0, b"a")]]
    timer = threading.Timer(0.1, stop.set)
    timer.start()
    bench.loop.run(stop)
    assert bench.log[-1] == "close"
    never.set()
    timer.join()
