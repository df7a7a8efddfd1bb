"""The id of a topic: told by the controller, not waited for where that is frozen or absent."""

import uuid
from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from kafkajourney.kafka import clients
from kafkajourney.kafka.topic_ids import TopicIds
from kafkajourney.settings import Settings
from tests.support.processes import wait_for


class FakeAdmin:
    """Answers with these ids in turn; an error is raised."""

    def __init__(self, *answers: Any, controller: int = 1) -> None:
        self.answers = list(answers)
        self.controller = controller

    def list_topics(self, timeout: float) -> Any:
        return SimpleNamespace(controller_id=self.controller, brokers={1: None, 2: None})

    def describe_topics(self, _topics: Any, request_timeout: float) -> dict[str, Future[Any]]:
        future: Future[Any] = Future()
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            future.set_exception(answer)
        else:
            future.set_result(SimpleNamespace(topic_id=answer))
        return {"t": future}


def test_an_answer_holds_for_a_second() -> None:
    admin: Any = FakeAdmin("one", "two")
    now = [100.0]
    ask = TopicIds(admin, "t", lambda: now[0])
    assert [ask(), ask()] == ["one", "one"]
    now[0] += 1.1
    assert ask() == "two"


@pytest.mark.parametrize(
    "answer", ["AAAAAAAAAAAAAAAAAAAAAA", KafkaException(KafkaError(KafkaError._TIMED_OUT))], ids=["no id", "no answer"]
)
def test_what_is_not_told_is_none(answer: Any) -> None:
    admin: Any = FakeAdmin(answer)
    assert TopicIds(admin, "t")() is None


def test_a_cluster_without_a_controller_is_not_asked() -> None:
    admin: Any = FakeAdmin(controller=0)
    assert TopicIds(admin, "t")() is None


@pytest.mark.stack
def test_a_topic_that_is_made_anew_has_another_id(settings: Settings) -> None:
    client: AdminClient = clients.asker(settings)
    name = f"remade-{uuid.uuid4().hex[:8]}"

    def made() -> str | None:
        client.create_topics([NewTopic(name, 1, 1)])[name].result(30)
        wait_for(lambda: TopicIds(client, name)() is not None)
        return TopicIds(client, name)()

    first = made()
    client.delete_topics([name])[name].result(30)
    wait_for(lambda: name not in client.list_topics(timeout=10).topics)
    second = made()
    assert None not in (first, second)
    assert first != second
