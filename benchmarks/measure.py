"""Measuring a process: wall time, CPU time, peak memory."""

import os
import subprocess
import sys
import time
from collections.abc import Mapping
from typing import NamedTuple

from kafkajourney.errors import StopError


class Run(NamedTuple):
    """What one process took, its start included."""

    seconds: float
    cpu_seconds: float
    peak_mib: float


def run(arguments: list[str], environment: Mapping[str, str]) -> Run:
    """Run ``python -m ARGUMENTS`` to its end; raise StopError where it fails."""
    began = time.monotonic()
    process = subprocess.Popen([sys.executable, "-m", *arguments], env=environment, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise StopError(f"{' '.join(arguments)} ended with {process.returncode}.")
    return Run(time.monotonic() - began, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)
