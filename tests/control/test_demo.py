"""The demo as users run it, undisturbed and with a consumer killed half-way."""

import os
import re
import signal
import sys

import pytest

from tests.support.processes import Commands, Running

pytestmark = pytest.mark.stack


def pid_of(demo: Running, name: str) -> int:
    found = re.search(r"pid (\d+)", demo.read_until(f"{name} started, pid"))
    assert found is not None
    return int(found[1])


def test_the_demo_ends_well(lone_commands: Commands) -> None:
    output = lone_commands.run("kafkajourney", "demo", "--events", "200", "--rate", "0")
    assert "produced 200, stored 200, missing 0, duplicates 0, unexpected 0" in output
    assert re.search(r"plays: (\d+) counted, \1 produced", output)


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL")
@pytest.mark.parametrize("victim", ["journey-2", "analytic-1"])
def test_a_consumer_of_the_demo_may_be_killed(lone_commands: Commands, victim: str) -> None:
    demo = lone_commands.start("kafkajourney", "demo", "--events", "300", "--rate", "100")
    pid = pid_of(demo, victim)
    while not re.search(r"producer [1-9]", demo.read_until("producer ")):
        pass  # until events are on their way
    os.kill(pid, signal.SIGKILL)
    output = demo.end()
    assert f"{victim} killed by SIGKILL, started again" in output
    assert "produced 300, stored 300, missing 0, duplicates 0, unexpected 0" in output


def test_the_demo_can_be_interrupted(lone_commands: Commands) -> None:
    demo = lone_commands.start("kafkajourney", "demo")
    demo.read_until("producer started")
    demo.process.send_signal(signal.SIGTERM)  # SIGINT is ignored where the tests run in the background
    assert "Traceback" not in demo.end(130)
