"""A process that hangs with the interpreter's lock held ends all the same."""

import subprocess
import sys
import time

import pytest

from tests.support.processes import ROOT

pytestmark = pytest.mark.stack

HANG = """
import ctypes, signal, sys
from kafkajourney.consuming.hard_end import HardEnd

end = HardEnd()
print("begun", flush=True)
{code}
print("went on", flush=True)
"""

SLEEP = "ctypes.PyDLL(None).sleep({seconds})"  # a foreign call that keeps the lock: no thread runs, no signal is seen


def run(code: str) -> tuple[int, str, float]:
    began = time.monotonic()
    command = [sys.executable, "-c", HANG.format(code=code)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=100)
    return done.returncode, done.stdout, time.monotonic() - began


def test_what_hangs_with_the_lock_held_is_ended() -> None:
    code, printed, seconds = run("with end.within(0.5): " + SLEEP.format(seconds=90))
    assert (code, printed) == (1, "begun\n")
    assert seconds < 60


def test_what_returns_in_time_goes_on_also_long_afterwards() -> None:
    code, printed, _ = run("with end.within(0.5): pass\n" + SLEEP.format(seconds=1))
    assert (code, printed) == (0, "begun\nwent on\n")


def test_within_an_end_that_is_armed_already_nothing_changes() -> None:
    code, printed, _ = run("end.arm(1)\nwith end.within(90): pass\n" + SLEEP.format(seconds=90))
    assert (code, printed) == (1, "begun\n")
