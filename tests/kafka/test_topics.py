"""Topics on a real broker: how they are set up, and reading while retention drops records."""

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin._config import AlterConfigOpType, ConfigEntry, ConfigResource

from kafkajourney.kafka import clients, reading, topics
from kafkajourney.settings import Settings
from tests.support.processes import Commands

pytestmark = pytest.mark.stack


def test_dead_letters_are_kept_for_ever_whatever_the_brokers_defaults(settings: Settings) -> None:
    found = topics.configuration(clients.admin(settings), topics.dead_letter_topic(settings.topic, "journey"))
    assert (found["retention.ms"], found["retention.bytes"], found["cleanup.policy"]) == ("-1", "-1", "delete")


def test_the_doctor_sees_dead_letters_that_will_not_be_kept(settings: Settings, real_commands: Commands) -> None:
    name = topics.dead_letter_topic(settings.topic, "analytic")
    assert f"{name} keep them for ever" in real_commands.run("kafkajourney", "doctor")
    change = ConfigEntry("retention.bytes", "20000", incremental_operation=AlterConfigOpType.SET)
    bounded = ConfigResource(ConfigResource.Type.TOPIC, name, incremental_configs=[change])
    admin = clients.admin(settings)  # kept: without it the answer never comes
    admin.incremental_alter_configs([bounded])[bounded].result(timeout=30)
    told = real_commands.run("kafkajourney", "doctor", code=1)
    assert f"Topic {name} has retention.bytes = 20000: its dead letters go before they are replayed." in told
    assert f"kafka-configs --alter --topic {name} --add-config retention.ms=-1,retention.bytes=-1" in told


def test_a_reader_goes_on_where_the_topic_begins_now_and_tells_what_it_missed(
    settings: Settings, real_commands: Commands
) -> None:
    real_commands.run("producer", "--rate", "0", "--count", "300")
    end = reading.end_offsets(settings)[0]
    place = TopicPartition(settings.topic, 0, 20)
    admin = clients.admin(settings)  # kept: without it the answer never comes
    admin.delete_records([place])[place].result(timeout=30)
    reader = clients.reader(settings)
    missed: list[tuple[int, int]] = []

    def on_dropped(first: int, number: int) -> None:
        missed.append((first, number))

    try:
        offsets = [m.offset() for m in reading.records(reader, settings.topic, 0, 0, end, on_dropped)]
        assert offsets == list(range(20, end))
        assert missed == [(20, 20)]
        assert list(reading.records(reader, settings.topic, 0, 0, 10, on_dropped)) == []
        assert missed[1:] == [(20, 10)]
    finally:
        reader.close()
