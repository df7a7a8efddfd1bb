"""What looks at the loop from outside: whether all is stored, and whether there is nothing to do."""

import pytest
from confluent_kafka import KafkaError

from kafkajourney.consuming.caught_up import ASK_EVERY
from kafkajourney.errors import StopError, TransientError
from tests.support.loop import Bench, Message


@pytest.fixture
def bench() -> Bench:
    made = Bench()
    made.assign(0, 1)
    made.turn()
    return made


def test_caught_up_means_the_whole_group(bench: Bench) -> None:
    bench.turn(Message(0, 0, b"a"))
    assert not bench.caught_up({0: 1, 1: 0, 2: 4})()  # another consumer's partition is behind
    bench.store.next_offsets[2] = 4
    assert bench.caught_up({0: 1, 1: 0, 2: 4})()
    assert not bench.caught_up({0: 2, 1: 0, 2: 4})()


def test_in_an_outage_nobody_has_caught_up(bench: Bench) -> None:
    bench.turn(Message(0, 0, b"a"))
    is_caught_up = bench.caught_up({0: 1, 1: 0})
    bench.store.failures = [TransientError("away")]
    assert not is_caught_up()
    bench.now += ASK_EVERY - 0.01
    assert not is_caught_up()  # it is not asked again yet
    bench.now += 0.01
    assert is_caught_up()


def test_an_unsettled_partition_has_not_caught_up(bench: Bench) -> None:
    bench.store.failures = [TransientError("away")]
    bench.turn(Message(0, 0, b"a"))
    bench.store.next_offsets[0] = 1
    assert not bench.caught_up({0: 1, 1: 0})()


def test_once_the_others_are_done_a_stopped_partition_is_the_end(bench: Bench) -> None:
    bench.turn(Message(0, 0, None, error=KafkaError._BAD_MSG))
    is_caught_up = bench.caught_up({0: 3, 1: 1})
    assert not is_caught_up()
    bench.turn(Message(1, 0, b"b"))
    with pytest.raises(StopError, match=r"t \[0\] cannot be read on at offset 0"):
        is_caught_up()


def test_a_progress_beyond_the_end_of_the_topic_is_not_caught_up(bench: Bench) -> None:
    bench.revoke(0, 1)
    bench.store.next_offsets = {0: 101}
    with pytest.raises(StopError, match=r"goes on at offset 101 of t \[0\], but the topic ends at 100"):
        bench.caught_up({0: 7})()
    bench.store.next_offsets = {0: 7, 1: 101}
    with pytest.raises(StopError, match=r"goes on at offset 101 of t \[1\], but the topic ends at 100"):
        bench.caught_up({0: 7, 1: 7})()
    bench.store.next_offsets = {0: 100}  # produced and stored since the ends were asked for
    assert bench.caught_up({0: 7})()


def test_a_partition_that_nobody_has_begun_is_not_caught_up_but_where_it_is_empty(bench: Bench) -> None:
    assert not bench.caught_up({0: 0, 1: 0, 7: 1})()
    bench.now += 1
    assert bench.caught_up({0: 0, 1: 0, 7: 0})()


def test_two_partitions_that_stopped_are_two_sentences(bench: Bench) -> None:
    bench.bounds[2] = (0, 100)
    bench.assign(2)
    bench.turn(Message(0, 0, None, error=KafkaError._BAD_MSG), Message(1, 0, None, error=KafkaError._BAD_MSG))
    with pytest.raises(StopError, match=r"behind them\. t \[1\] cannot"):
        bench.caught_up({})()


def test_the_loop_ends_once_the_group_has_caught_up(bench: Bench) -> None:
    bench.consumer.batches = [[Message(0, 0, b"a")], [], [Message(0, 1, b"b")], [Message(0, 2, b"too many")]]
    bench.loop.run(bench.caught_up({0: 2}))
    assert bench.store.values == [b"a", b"b"]


def test_an_idle_consumer_says_so_once(caplog: pytest.LogCaptureFixture) -> None:
    bench = Bench()
    with caplog.at_level("INFO", "kafkajourney"):
        bench.turn()
        bench.now = 4.9
        bench.turn()
        assert "idle" not in caplog.text
        bench.now = 5.0
        bench.turn()
        bench.turn()
        assert caplog.text.count("idle: all") == 1
        bench.assign(0)
        bench.turn()
        bench.revoke(0)
        bench.turn()
        bench.now += 5
        bench.turn()
        assert caplog.text.count("idle: all") == 2
        bench.now += 60
        bench.turn()
        assert caplog.text.count("idle: all") == 2


def test_where_nobody_has_a_partition_a_consumer_does_not_say_that_it_is_idle(caplog: pytest.LogCaptureFixture) -> None:
    bench = Bench()
    bench.owned = 0
    bench.turn()
    bench.now = 5.0
    bench.turn()
    assert "idle: all" not in caplog.text
    assert "no other member has one: see whether all members have the same group.protocol" in caplog.text
    bench.owned = 3
    with caplog.at_level("INFO", "kafkajourney"):
        bench.now = 65.0
        bench.turn()
    assert "idle: all" in caplog.text


def test_an_idle_consumer_notices_that_the_topic_is_gone() -> None:
    bench = Bench()
    bench.turn()
    bench.now = 5.0
    bench.turn()
    bench.topic_is_gone = True
    bench.now = 60.0
    bench.turn()
    bench.now = 65.0
    with pytest.raises(StopError, match="gone"):
        bench.turn()
