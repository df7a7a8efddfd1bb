"""Two deployments with a database each on one topic, and a topic that was made anew: on real Kafka."""

import json
import signal
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from consumers import GROUPS
from kafkajourney.embedded.stack import environment
from kafkajourney.kafka import clients, reading, topics
from kafkajourney.settings import Settings
from tests.stack import RealStack
from tests.support.processes import FULL, Commands, end_all, wait_for
from tests.support.watched import Watched, count, progress_of

pytestmark = pytest.mark.stack


@pytest.fixture
def others(real: RealStack, settings: Settings, tmp_path: Path) -> Iterator[Commands]:
    """Commands of a second deployment: the same topic, another database."""
    theirs = real.empty_database(f"others{uuid.uuid4().hex[:8]}", on_postgres=True)
    (tmp_path / "others").mkdir()
    made = Commands(tmp_path / "others", environment(replace(theirs, topic=settings.topic)))
    yield made
    end_all(made)


def stored(commands: Commands, settings: Settings) -> int:
    own = replace(settings, database_url=commands.variables["KAFKAJOURNEY_DATABASE_URL"])
    return count(own, "journey_events")


def test_with_a_prefix_each_deployment_stores_everything(
    settings: Settings, real_commands: Commands, others: Commands
) -> None:
    prefix = {"KAFKAJOURNEY_GROUP_PREFIX": "eu-"}
    said = others.run("kafkajourney", "topic", "create", variables=prefix)
    assert f"topic {settings.topic}.eu-journey.dlq created" in said
    both = [
        real_commands.start("consumers.journey"),
        others.start("consumers.journey", variables=prefix),
    ]
    for running in both:
        running.read_until("assigned:")
    real_commands.run("producer", "--rate", "0", "--count", "600")
    wait_for(lambda: stored(real_commands, settings) == stored(others, settings) == 600)
    for running in both:
        running.process.send_signal(signal.SIGTERM)
        running.end(130)
    for commands, variables in ((real_commands, {}), (others, prefix)):
        commands.run("consumers.analytic", "--until-caught-up", variables=variables)
        assert "verified" in commands.run("kafkajourney", "verify", variables=variables)
        told = json.loads(commands.run("kafkajourney", "status", "--json", variables=variables))
        assert (told["problems"], told["notes"]) == ([], [])


def test_without_a_prefix_it_is_told_that_another_databases_consumers_are_in_the_group(
    settings: Settings, real_commands: Commands, others: Commands
) -> None:
    ours = Watched(real_commands.start("consumers.journey"))
    wait_for(lambda: ours.says("assigned:"))
    theirs = Watched(others.start("consumers.journey"))
    wait_for(lambda: theirs.says("assigned:"))
    real_commands.run("producer", "--rate", "0", "--count", "600")
    wait_for(lambda: stored(real_commands, settings) + stored(others, settings) == 600)
    for watched in (ours, theirs):
        wait_for(lambda watched=watched: watched.says("that this database has not reached: ["))  # type: ignore[misc]
        assert watched.says("give one deployment a group_prefix (KAFKAJOURNEY_GROUP_PREFIX)")
    told = json.loads(real_commands.run("kafkajourney", "status", "--json"))
    assert any("journey has committed offsets that this database has not reached" in note for note in told["notes"])


def make_anew(settings: Settings) -> None:
    admin = clients.admin(settings)
    admin.delete_topics([settings.topic])[settings.topic].result(30)
    wait_for(lambda: settings.topic not in reading.topics(admin, settings))
    topics.create(settings, [group.name for group in GROUPS], 3)


@pytest.mark.parametrize(
    "protocol", ["consumer", pytest.param("classic", marks=pytest.mark.skipif(not FULL, reason="in the full form"))]
)
def test_a_topic_that_was_made_anew_and_has_grown_past_the_progress_is_told(
    settings: Settings, real_commands: Commands, protocol: str, request: pytest.FixtureRequest
) -> None:
    """While a consumer runs, and when it is started again.

    What it stores of the new topic before it is told (by Kafka, or by the next look at the id) is at its place there,
    behind the progress; then it stops, and nothing is taken over.
    """
    classic = {"KAFKAJOURNEY_KAFKA__GROUP__PROTOCOL": "classic"} if protocol == "classic" else {}
    consumer = Watched(real_commands.start("consumers.journey", variables=classic))
    request.addfinalizer(lambda: print(*consumer.lines))  # shown where the test fails
    real_commands.run("producer", "--rate", "0", "--count", "300")
    wait_for(lambda: count(settings, "journey_events") == 300)
    progress = progress_of(settings, "journey")
    make_anew(settings)
    real_commands.run("producer", "--rate", "0", "--count", "3000")
    # By its id; or by its end, where it is looked at before anything was produced to it.
    wait_for(lambda: consumer.says("was made anew"))
    wait_for(lambda: consumer.running.process.poll() == 1)  # all of its partitions have stopped
    after = progress_of(settings, "journey")
    moved = {partition: after[partition] - offset for partition, offset in progress.items()}
    assert min(moved.values()) >= 0
    assert count(settings, "journey_events") == 300 + sum(moved.values())
    again = real_commands.run("consumers.journey", "--until-caught-up", code=1, variables=classic)
    assert "the one that is there now was made anew" in again
    told = json.loads(real_commands.run("kafkajourney", "status", "--json", code=1).splitlines()[0])
    assert "The progress of journey is of a topic that was deleted" in told["problems"][0]["text"]
