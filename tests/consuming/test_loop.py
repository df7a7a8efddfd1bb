"""The consume loop on fakes: what is written, stored and set aside, and what happens when things fail."""

import threading
from collections.abc import Iterator

import pytest
from confluent_kafka import KafkaError, KafkaException

from kafkajourney.errors import BrokerAwayError, StopError, TransientError
from kafkajourney.events import Move
from tests.support.loop import Bench, Message


@pytest.fixture
def bench() -> Bench:
    made = Bench()
    made.assign(0, 1)
    made.turn()
    return made


def test_offsets_are_stored_after_the_commit(bench: Bench) -> None:
    bench.turn(Message(0, 0, b"a"), Message(1, 0, b"b"), Message(0, 1, b"c"))
    assert bench.log == ["commit", "store"]
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
    bench.store.refused_values = {b"3", b"6"}
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
        bench.now = bench.retry_at()
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


def test_a_dead_letter_that_the_producer_does_not_take_is_an_outage_of_what_was_read(bench: Bench) -> None:
    bench.dead_letters.failures = [BrokerAwayError("too many dead letters are under way")]
    bench.turn(Message(0, 0, b"a"), Message(0, 1, b"bad"), Message(1, 0, b"b"))
    assert bench.store.values == []
    assert bench.consumer.paused == {0, 1}
    bench.now = bench.retry_at()
    bench.turn(Message(0, 0, b"a"), Message(0, 1, b"bad"), Message(1, 0, b"b"))
    assert bench.store.values == [b"a", b"b"]
    assert bench.dead_letters.sent == [(1, "bad bytes")]


def away() -> None:
    raise TransientError("not confirmed")


def test_refused_rows_with_good_ones_between_are_not_in_a_row() -> None:
    bench = Bench(max_dead_letters=2)
    bench.assign(0)
    bench.turn()
    bench.store.refused_values = {b"bad row"}
    bench.turn(*(Message(0, n, b"bad row" if n % 2 else b"a") for n in range(12)))
    assert len(bench.dead_letters.sent) == 6
    assert bench.store.next_offsets[0] == 12


def test_too_many_refused_rows_in_a_row_stop_the_loop_however_small_the_batches() -> None:
    bench = Bench(max_dead_letters=2)
    bench.assign(0)
    bench.turn()
    bench.store.refused_values = {b"bad row"}
    bench.turn(Message(0, 0, b"bad row"))
    bench.turn(Message(0, 1, b"bad row"))
    with pytest.raises(StopError, match="More than 2 records in a row"):
        bench.turn(Message(0, 2, b"bad row"))
    assert bench.store.next_offsets[0] == 2


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


def test_the_waits_grow_until_something_is_committed_again(bench: Bench) -> None:
    waits = []
    for _ in range(6):
        bench.consumer.batches = []
        bench.turn(Message(0, 0, b"away"))
        waits.append(bench.retry_at() - bench.now)
        bench.now = bench.retry_at()
    assert waits[-1] > 8
    bench.turn(Message(0, 0, b"a"))
    bench.store.failures = [TransientError("again")]
    bench.turn(Message(0, 1, b"b"))
    assert bench.retry_at() - bench.now <= 0.5


def test_after_an_outage_a_partition_goes_on_from_the_database(bench: Bench) -> None:
    bench.store.failures = [TransientError("away"), TransientError("still away")]
    bench.turn(Message(0, 0, b"a"))
    assert bench.consumer.paused == {0}
    bench.now = bench.retry_at()
    bench.turn()  # the second failure
    bench.turn(Message(0, 1, b"b"))  # too early to try again, and the record is dropped: it will be fetched again
    assert bench.store.values == []
    bench.consumer.seeks.clear()
    bench.now = bench.retry_at()
    bench.turn(Message(0, 0, b"a"), Message(0, 1, b"b"))
    assert bench.consumer.seeks == [(0, 0)]
    assert bench.consumer.paused == set()
    assert bench.store.values == [b"a", b"b"]
    assert bench.dead_letters.sent == []


# --- answers that come late -----------------------------------------------------------------------------------------


@pytest.fixture
def slow() -> Iterator[Bench]:
    """Two partitions, and a database that is waited for as long as the test says."""
    made = Bench(patience=0.01)
    made.assign(0, 1)
    made.turn()
    yield made
    made.answer.set()


def test_a_commit_that_comes_late_is_a_commit(slow: Bench) -> None:
    for offset in range(3):
        slow.turn_late(Message(0, offset, b"a"))
        assert slow.consumer.paused == set()
    assert slow.store.next_offsets[0] == 3
    assert slow.consumer.stored == {0: 3}
    assert slow.consumer.seeks == [(0, 0), (1, 0)]  # of the start: nobody was settled anew
    assert [batch.moves for batch in slow.stored] == [{0: Move(offset, offset + 1)} for offset in range(3)]


def test_a_refusal_that_comes_late_is_a_refusal(slow: Bench) -> None:
    slow.store.refused_values = {b"bad row"}
    slow.turn_late(Message(0, 0, b"bad row"), Message(0, 1, b"a"))
    assert slow.dead_letters.sent == [(0, "too long")]
    assert slow.store.values == [b"a"]


def test_an_error_that_comes_late_is_that_error(slow: Bench) -> None:
    slow.store.failures = [StopError("permission denied")]
    with pytest.raises(StopError, match="permission denied"):
        slow.turn_late(Message(0, 0, b"a"))


def test_a_database_that_tells_the_offsets_late_is_believed() -> None:
    bench = Bench(patience=0.01)
    bench.store.before_begin = bench.answer_at_the_next_poll
    bench.assign(0)
    bench.turn()
    assert bench.consumer.seeks == [(0, 0)]


def test_while_an_answer_is_waited_for_all_partitions_are_paused_and_polled(slow: Bench) -> None:
    paused: list[set[int]] = []

    def look() -> None:
        paused.append(set(slow.consumer.paused))
        slow.consumer.during_consume = slow.answer.set if len(paused) == 10 else look

    slow.store.before_commit = slow.answer.wait
    slow.consumer.during_consume = lambda: setattr(slow.consumer, "during_consume", look)
    slow.turn(Message(0, 0, b"a"))
    assert paused == [{0, 1}] * 10
    assert slow.consumer.paused == set()


def test_more_may_be_kept_than_a_batch_takes() -> None:
    bench = Bench(patience=0.01, batch_size=1)
    bench.assign(0)
    bench.turn()

    def come() -> None:
        bench.consumer.batches = [[Message(0, 1, b"b")], [Message(0, 2, b"c")]]
        bench.consumer.during_consume = lambda: setattr(bench.consumer, "during_consume", bench.answer.set)

    bench.store.before_commit = bench.answer.wait
    bench.consumer.during_consume = lambda: setattr(bench.consumer, "during_consume", come)
    bench.turn(Message(0, 0, b"a"))
    bench.store.before_commit = lambda: None
    bench.turn()
    bench.turn()
    assert bench.store.values == [b"a", b"b", b"c"]


def test_a_partition_that_was_taken_meanwhile_does_not_go_on_by_a_late_answer(slow: Bench) -> None:
    def take_and_answer() -> None:
        slow.revoke(1)
        slow.assign(1)
        slow.answer.set()

    slow.store.before_commit = slow.answer.wait
    slow.consumer.during_consume = lambda: setattr(slow.consumer, "during_consume", take_and_answer)
    slow.turn(Message(0, 0, b"a"), Message(1, 0, b"b"))
    assert slow.consumer.paused == {1}
    slow.store.next_offsets[1] = 7  # its owner in between
    slow.store.before_commit = lambda: None
    slow.turn(Message(1, 7, b"h"))
    assert slow.consumer.seeks[-1] == (1, 7)
    assert slow.store.values == [b"a", b"b", b"h"]


def test_a_partition_that_is_taken_while_it_is_settled_is_left_alone() -> None:
    bench = Bench(patience=0.01)
    bench.consumer.stuck = {0}  # as librdkafka has it of a partition that is not assigned

    def take_and_answer() -> None:
        bench.revoke(0)
        bench.answer.set()

    bench.store.before_begin = bench.answer.wait
    bench.assign(0, 1)
    bench.consumer.during_consume = take_and_answer
    bench.turn()
    assert bench.consumer.seeks == [(1, 0)]
    assert bench.consumer.anew == []
    assert bench.loop.positions.going == {1: 0}


def test_what_comes_while_an_answer_is_waited_for_is_not_lost(slow: Bench) -> None:
    def come() -> None:
        slow.consumer.batches = [[Message(0, 1, b"b")]]
        slow.consumer.during_consume = slow.answer.set

    slow.store.before_commit = slow.answer.wait
    slow.consumer.during_consume = lambda: setattr(slow.consumer, "during_consume", come)
    slow.turn(Message(0, 0, b"a"))
    slow.store.before_commit = lambda: None
    slow.turn(Message(0, 2, b"c"))
    assert slow.store.values == [b"a", b"b", b"c"]


def test_what_was_kept_of_a_partition_is_dropped_where_it_is_settled_anew(slow: Bench) -> None:
    def come_and_fail() -> None:
        slow.consumer.batches = [[Message(0, 5, b"f")]]
        slow.consumer.during_consume = slow.answer.set

    slow.store.before_commit = slow.answer.wait
    slow.store.failures = [TransientError("away")]
    slow.consumer.during_consume = lambda: setattr(slow.consumer, "during_consume", come_and_fail)
    slow.turn(Message(0, 0, b"a"))
    slow.store.before_commit = lambda: None
    slow.now = slow.retry_at()
    slow.turn(Message(0, 0, b"a"))
    assert slow.store.values == [b"a"]
    assert slow.store.next_offsets[0] == 1


def test_a_signal_ends_the_loop_while_the_database_hangs(slow: Bench) -> None:
    slow.store.before_commit = slow.answer.wait
    slow.consumer.batches = [[Message(0, 0, b"a")]]
    slow.consumer.during_consume = lambda: setattr(slow.consumer, "during_consume", slow.stop.set)
    slow.loop.run()
    assert slow.log[-1] == "close"


# --- each partition for itself --------------------------------------------------------------------------------------


def test_a_partition_that_cannot_be_read_on_stops_alone(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    bench.turn(Message(0, 0, b"a"), Message(0, 1, None, error=KafkaError._BAD_MSG), Message(0, 2, b"c"), Message(1, 0))
    assert bench.store.next_offsets == {0: 1, 1: 1}  # what came before it is stored, what comes behind it is not
    assert bench.consumer.paused == {0}
    assert "stopped: t [0] cannot be read on at offset 1: " in caplog.text
    assert "accept the gap by setting next_offset in consumer_progress" in caplog.text
    for offset in range(1, 4):
        bench.turn(Message(0, offset + 1, b"never"), Message(1, offset))
    assert bench.store.next_offsets == {0: 1, 1: 4}


def test_a_stopped_partition_is_looked_at_again_each_minute(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    corrupt = Message(0, 0, None, error=KafkaError._BAD_MSG)
    bench.turn(corrupt)
    bench.consumer.stuck = {0}  # after such an error librdkafka's seek fails for ever
    bench.now = bench.retry_at()
    bench.turn(corrupt)
    assert bench.consumer.anew == [(0, 0)]
    assert caplog.text.count("stopped: ") == 1  # no news
    bench.store.next_offsets[0] = 5  # somebody accepted the gap
    bench.now = bench.retry_at()
    bench.turn(Message(0, 5, b"f"))
    assert bench.store.next_offsets[0] == 6
    assert bench.loop.positions.stopped == {}


def test_where_all_partitions_have_stopped_the_loop_ends(bench: Bench) -> None:
    bench.turn(Message(1, 0, None, error=KafkaError._BAD_COMPRESSION))
    with pytest.raises(StopError, match=r"t \[1\] cannot .* t \[0\] cannot|t \[0\] cannot .* t \[1\] cannot"):
        bench.turn(Message(0, 0, None, error=KafkaError._BAD_MSG))


def test_an_offset_that_the_topic_does_not_have_any_more_is_told_as_the_gap_that_it_is(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    bench.turn(Message(0, 0, b"a"), Message(1, 0, b"b"))
    bench.bounds[0] = (0, 0)
    bench.turn(Message(0, 1, None, error=KafkaError._AUTO_OFFSET_RESET))
    assert bench.loop.positions.going == {1: 1}
    bench.now = bench.retry_at()
    bench.turn(Message(1, 1, b"c"))
    assert (
        "stopped: The database goes on at offset 1 of t [0], but the topic ends at 0: it was made anew" in caplog.text
    )
    assert bench.store.values == [b"a", b"b", b"c"]


def test_a_gap_stops_its_partition_alone() -> None:
    bench = Bench()
    bench.bounds[0] = (10, 100)
    bench.store.next_offsets = {0: 5}
    bench.assign(0, 1)
    bench.turn(Message(1, 0, b"b"))
    assert bench.consumer.seeks == [(1, 0)]
    assert list(bench.loop.positions.stopped) == [0]
    assert bench.store.values == [b"b"]


def test_a_partition_without_a_leader_backs_off_alone(caplog: pytest.LogCaptureFixture) -> None:
    bench = Bench()
    bench.bounds[0] = BrokerAwayError("t [0] has no leader")
    bench.assign(0, 1)
    bench.turn(Message(1, 0, b"b"))
    assert bench.store.values == [b"b"]
    assert "next try in" in caplog.text
    assert "t [0] has no leader (t [0])" in caplog.text
    bench.bounds[0] = (0, 100)
    bench.now = bench.retry_at()
    bench.turn(Message(0, 0, b"a"))
    assert bench.store.values == [b"b", b"a"]


def test_a_record_whose_schema_is_away_holds_up_its_partition_alone(bench: Bench) -> None:
    bench.turn(Message(0, 0, b"a"), Message(0, 1, b"away"), Message(0, 2, b"c"), Message(1, 0, b"b"))
    assert bench.store.values == [b"a", b"b"]
    assert bench.consumer.paused == {0}
    bench.now = bench.retry_at()
    bench.turn(Message(0, 1, b"b again"), Message(0, 2, b"c"))
    assert bench.store.values == [b"a", b"b", b"b again", b"c"]


def test_a_fence_holds_up_its_partition_alone(bench: Bench) -> None:
    bench.store.next_offsets[0] = 10  # another consumer was here
    bench.turn(Message(0, 0, b"a"), Message(1, 0, b"b"))
    assert bench.store.values == [b"b"]
    assert bench.consumer.stored == {1: 1}
    assert bench.consumer.paused == {0}


@pytest.mark.parametrize("incremental", [True, False])
def test_where_seek_fails_for_good_the_partition_is_assigned_anew(*, incremental: bool) -> None:
    bench = Bench(incremental=incremental)
    bench.store.next_offsets = {0: 4}
    bench.consumer.stuck = {0}
    bench.assign(0, 1)
    bench.turn()
    assert (0, 4) in bench.consumer.anew
    assert bench.consumer.paused == set()
    bench.turn(Message(0, 4, b"e"))
    assert bench.store.values == [b"e"]


def test_an_eager_assignment_keeps_no_old_position() -> None:
    bench = Bench(incremental=False)
    bench.assign(0, 1)
    bench.turn()
    bench.assign(1)  # the whole list: 0 is gone, without a word
    bench.turn(Message(0, 0, b"not ours"), Message(1, 0, b"b"))
    assert bench.store.values == [b"b"]


def test_the_end_of_a_foreign_partition_moves_nothing(bench: Bench) -> None:
    bench.revoke(0)
    bench.turn(Message(0, 3, None, error=KafkaError._PARTITION_EOF))
    assert bench.store.next_offsets[0] == 0
    bench.assign(0)
    bench.turn(Message(0, 0, b"a"))
    assert bench.store.values == [b"a"]


def test_a_message_that_comes_twice_is_stored_once(bench: Bench) -> None:
    bench.turn(Message(0, 0, b"a"), Message(0, 1, b"b"), Message(0, 0, b"a"), Message(0, 1, b"b"))
    assert bench.store.values == [b"a", b"b"]


def test_an_outage_of_the_whole_client_unsettles_nothing(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    bench.turn(Message(-1, 0, None, error=KafkaError._ALL_BROKERS_DOWN), Message(0, 0, b"a"))
    assert bench.store.values == [b"a"]
    assert bench.consumer.paused == set()
    assert "next try in 0.0 s: the broker reports: Local: All broker connections are down" in caplog.text


def test_a_fatal_error_stops_the_loop_with_its_cause(bench: Bench) -> None:
    with pytest.raises(StopError, match="The Kafka client cannot go on"):
        bench.turn(Message(-1, 0, None, error=KafkaError._FATAL))


def test_a_record_of_which_no_row_can_be_made_is_a_dead_letter(bench: Bench) -> None:
    bench.turn(Message(0, 0, b"a"), Message(0, 1, b"no row"), Message(0, 2, b"bad"), Message(0, 3, b"b"))
    assert sorted(bench.dead_letters.sent) == [(1, "no row can be made of it"), (2, "bad bytes")]
    assert bench.store.values == [b"a", b"b"]
    assert bench.store.next_offsets[0] == 4


# --- refused rows ---------------------------------------------------------------------------------------------------


def test_dead_letters_of_refused_rows_are_confirmed_before_the_offset_advances(bench: Bench) -> None:
    bench.store.refused_values = {b"bad row"}
    bench.log.clear()
    bench.turn(Message(0, 0, b"a"), Message(0, 1, b"bad row"))
    assert bench.log == ["dead letter", "confirm", "commit", "store"]


def test_a_batch_that_is_refused_for_none_of_its_rows_stops_the_loop(bench: Bench) -> None:
    bench.store.refused_values = {b"a"}
    bench.store.finds_refused = False
    with pytest.raises(StopError, match="takes each row alone, but not together: too long"):
        bench.turn(Message(0, 0, b"a"))


# --- the end ----------------------------------------------------------------------------------------------------------


def test_a_poll_ends_soon_after_a_signal_however_long_a_batch_is_waited_for() -> None:
    bench = Bench(batch_wait=60)
    bench.assign(0)
    bench.turn()
    bench.consumer.during_consume = bench.stop.set
    began, bench.consumer.polls = bench.now, 0
    bench.turn()
    assert bench.consumer.polls == 1
    assert bench.now - began <= 0.11


def test_a_batch_is_bounded_by_its_bytes_too() -> None:
    bench = Bench(batch_size=10_000)
    bench.assign(0)
    bench.turn()
    large = bytes(1_000_000)
    bench.turn(*(Message(0, n, large) for n in range(1000)))
    assert len(bench.store.values) == 200  # one slice: 16 MiB are full
    bench.loop.turn()


def test_leaving_takes_no_longer_than_is_allowed() -> None:
    bench = Bench(closing_patience=0.01)
    never = threading.Event()
    bench.consumer.close = never.wait  # type: ignore[assignment]
    bench.stop.set()
    bench.loop.run()
    bench.loop._assignment.hard_end.disarm()  # this process is to live on
    never.set()


def test_the_consumer_is_closed_however_the_loop_ends() -> None:
    bench = Bench()
    bench.store.failures = [StopError("wrong deployment")]
    bench.assign(0)
    with pytest.raises(StopError):
        bench.loop.run()
    assert bench.log[-1] == "close"
