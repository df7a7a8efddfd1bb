"""A client that never works again, through no fault of ours: another one is made, and the process goes on."""

import gc
import threading
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
from click.testing import CliRunner

from consumers.journey import JOURNEY
from kafkajourney.consuming import command, start
from kafkajourney.database import revisions
from kafkajourney.errors import ClientLostError, StopError

LOST = "The broker has failed on this consumer's membership (x); its log says why."


class Made:
    """What stands in for an assembly; the first ones end as they are told to."""

    ends: ClassVar[list[Exception]] = []
    number = 0

    def __init__(self, *_: Any) -> None:
        Made.number += 1
        self.loop = SimpleNamespace(run=self.run, positions=SimpleNamespace(assigned=[0, 1]))

    def partitions(self) -> list[int]:
        return [0, 1]

    def watch(self, _ends: object) -> None: ...

    def run(self, _is_done: object, _give_up: threading.Event) -> None:
        if Made.ends:
            raise Made.ends.pop(0)


@pytest.fixture(autouse=True)
def fakes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "Assembly", Made)
    monkeypatch.setattr(revisions, "require_revisions", lambda *_: None)
    monkeypatch.setattr(command, "Registry", lambda *_args, **_named: SimpleNamespace(subjects=list))
    monkeypatch.setattr(gc, "freeze", lambda: None)
    monkeypatch.setattr(gc, "set_threshold", lambda _number: None)
    monkeypatch.setattr(start, "delay", lambda *_: 0.0)
    Made.number = 0


def run() -> Any:
    consumer = command.consumer_command(JOURNEY, "A consumer.")
    return CliRunner().invoke(consumer, ["--database-url", "sqlite://", "--log-format", "text"])


def test_another_client_is_made_as_often_as_one_is_lost(caplog: pytest.LogCaptureFixture) -> None:
    Made.ends = [ClientLostError(LOST), ClientLostError(LOST)]
    with caplog.at_level("INFO", "kafkajourney"):
        assert run().exit_code == 0
    assert Made.number == 3
    assert f"waiting, next try in 0.0 s: {LOST} Another client is made." in caplog.text
    assert caplog.text.count("lost: user-journey [0, 1]") == 2


def test_what_no_other_client_mends_ends_the_process() -> None:
    Made.ends = [ClientLostError(LOST), StopError("no right")]
    assert run().exit_code != 0
    assert Made.number == 2
