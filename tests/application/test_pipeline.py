"""The application's pipeline, whatever its groups are: what is produced is stored, and verified."""

from kafkajourney.testing import Journey, journey

__all__ = ["journey"]


def test_what_is_produced_is_stored_and_verified(journey: Journey) -> None:  # the fixture
    assert "produced 200 events" in journey.run("producer", "--rate", "0", "--count", "200", "--seed", "7")
    journey.store_all()
    assert "verified" in journey.run("kafkajourney", "verify")
    journey.store_all()
    assert "verified" in journey.run("kafkajourney", "verify")
