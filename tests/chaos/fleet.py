"""The processes under test: consumers and a producer, supervised as in production."""

import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from kafkajourney.errors import StopError

CLEAN = (0, 130, -signal.SIGTERM)

STARTED_IN_AN_OUTAGE = ("No schema registry answers", "No Kafka broker answers", "No database answers")
"""With one of these sentences a command ends that starts while a part is away; whoever supervises it tries again."""

STOP_DEADLINE = 60.0


class Member:
    """One process, its output in a log file. It is started again whenever it has ended."""

    def __init__(self, name: str, arguments: list[str], environment: Mapping[str, str], folder: Path) -> None:
        self.name = name
        self.arguments = arguments
        self.log = folder / f"{name}.log"
        self._environment = environment
        self._killed = False
        self.process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", *self.arguments],
                env=self._environment,
                cwd=self.log.parent,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def ended(self) -> bool:
        """Whether the process has ended."""
        return self.process.poll() is not None

    def kill(self) -> None:
        """End it at once (SIGKILL)."""
        self._killed = True
        self.process.kill()
        self.process.wait()

    def freeze(self) -> None:
        """Stop it, its connections open (SIGSTOP)."""
        self.process.send_signal(signal.SIGSTOP)

    def wake(self) -> None:
        """Let it go on."""
        self.process.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        """Let it end in order; raise StopError where it does not, or not cleanly."""
        self.wake()
        self.process.terminate()
        try:
            self.process.wait(STOP_DEADLINE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise StopError(f"{self.name} does not end on SIGTERM. {self.last_lines()}") from None
        self._require_clean()

    def restart_if_ended(self) -> bool:
        """Start it again where it has ended; raise StopError where it ended by itself with an error."""
        if not self.ended:
            return False
        self._require_clean()
        self._killed = False
        self.process = self._start()
        return True

    def _require_clean(self) -> None:
        if self.process.returncode in CLEAN or self._killed:
            return
        last = self.log.read_text(encoding="utf-8", errors="replace").rstrip().rpartition("\n")[2]
        if not any(sentence in last for sentence in STARTED_IN_AN_OUTAGE):
            raise StopError(f"{self.name} ended with {self.process.returncode}. {self.last_lines()}")

    def last_lines(self) -> str:
        """Return the end of its log, for people."""
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        return "\n".join([f"The last lines of {self.log}:", *lines[-20:]])


class Fleet:
    """The consumers of both groups."""

    def __init__(self, environment: Mapping[str, str], folder: Path) -> None:
        self._environment = environment
        self.folder = folder
        self._number = 0
        self.members: list[Member] = []

    def add(self, group: str) -> Member:
        """Start one more consumer of a group."""
        self._number += 1
        member = Member(f"{group}-{self._number}", [f"consumers.{group}"], self._environment, self.folder)
        self.members.append(member)
        return member

    def remove(self, member: Member) -> None:
        """Let a consumer leave."""
        self.members.remove(member)
        member.stop()

    def supervise(self) -> None:
        """Start again what has ended."""
        for member in self.members:
            member.restart_if_ended()

    def stop(self) -> None:
        """Let all of them end; raise StopError where one does not end cleanly."""
        for member in list(self.members):
            self.remove(member)

    def kill(self) -> None:
        """End all of them at once: for the end of a campaign that failed."""
        for member in self.members:
            member.kill()
