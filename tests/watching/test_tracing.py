"""Traces: from the producer through the record's headers to the transaction; nothing where nobody asks for them."""

import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from confluent_kafka import KafkaError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from kafkajourney.errors import DatabaseAwayError, RegistryAwayError, SettingsError
from kafkajourney.events import Decoded, Move, Record
from kafkajourney.kafka import clients, reading
from kafkajourney.settings import Settings
from kafkajourney.watching import tracing
from kafkajourney.watching.observer import Stored
from kafkajourney.watching.otel import MOST_LINKS, OpenTelemetry, origin_of
from kafkajourney.watching.traces import OFF
from kafkajourney.watching.tracing import exporters_wanted
from tests.support.loop import Bench, Message
from tests.support.processes import ROOT, Commands, wait_for

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"

# --- whether ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("variables", "wanted"),
    [
        ({}, ()),
        ({"OTEL_SERVICE_NAME": "mine"}, ()),
        ({ENDPOINT: ""}, ()),
        ({ENDPOINT: "http://collector:4318"}, ("otlp",)),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://collector:4318/v1/traces"}, ("otlp",)),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, ("otlp",)),
        ({"OTEL_TRACES_EXPORTER": "console, otlp"}, ("console", "otlp")),
        ({"OTEL_TRACES_EXPORTER": "none", ENDPOINT: "http://collector:4318"}, ()),
        ({"OTEL_TRACES_EXPORTER": "console", ENDPOINT: "http://collector:4318"}, ("console",)),
        ({"OTEL_SDK_DISABLED": "true", ENDPOINT: "http://collector:4318"}, ()),
        ({"OTEL_TRACES_EXPORTER": "console", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, ("console",)),
        ({"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}, ("otlp",)),
    ],
)
def test_the_variables_of_opentelemetry_say_whether_and_where(variables: dict[str, str], wanted: tuple[str]) -> None:
    assert exporters_wanted(variables) == wanted


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"OTEL_TRACES_EXPORTER": "zipkin"}, "OTEL_TRACES_EXPORTER=zipkin is not supported"),
        ({ENDPOINT: "http://c:4317", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "=grpc is not supported"),
    ],
)
def test_what_cannot_be_had_is_refused(variables: dict[str, str], words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        exporters_wanted(variables)


IMPORTS = """
import sys
import producer.__main__, consumers.journey.__main__
from kafkajourney.watching.traces import OFF
from kafkajourney.watching.tracing import tracing
with tracing("kafkajourney-test", {}) as traces:
    assert traces is OFF
print([name for name in sys.modules if name.startswith("opentelemetry")])
"""

WITHOUT_THE_EXTRA = """
import sys, runpy
sys.modules["opentelemetry"] = None  # as if it were not installed
sys.argv = ["producer"]
runpy.run_module("producer", run_name="__main__", alter_sys=True)
"""


@pytest.mark.stack
def test_nothing_is_imported_where_nothing_is_traced() -> None:
    done = subprocess.run([sys.executable, "-c", IMPORTS], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.stack
def test_without_the_extra_one_sentence_says_what_to_do(commands: Commands) -> None:
    program = [sys.executable, "-c", WITHOUT_THE_EXTRA]
    variables = commands.variables | {ENDPOINT: "http://127.0.0.1:1"}
    done = subprocess.run(program, cwd=commands.folder, env=variables, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert f"Traces are asked for ({ENDPOINT}), but OpenTelemetry is not installed" in done.stderr
    assert "pip install 'kafkajourney[otel]'" in done.stderr


# --- spans -----------------------------------------------------------------------------------------------------------


class Traced(Message):
    """A message with headers."""

    def __init__(self, partition: int, offset: int, *headers: tuple[str, bytes | None]) -> None:
        super().__init__(partition, offset)
        self._headers = list(headers) or None

    def headers(self) -> list[tuple[str, bytes | None]] | None:
        return self._headers


class Kept:
    """Spans that stay in memory."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.traces = OpenTelemetry(provider)
        (self.observer,) = self.traces.observers("t", "journey")

    @property
    def spans(self) -> tuple[ReadableSpan, ...]:
        return self._exporter.get_finished_spans()

    def record(self, offset: int) -> Record:
        """Return a record whose event has a trace of its own."""
        headers = self.traces.sending("t", offset).headers
        assert isinstance(headers, dict)
        carried = [(name, str(value).encode()) for name, value in headers.items()]
        return record(Traced(0, offset, *carried))


def record(message: Traced) -> Record:
    decoded = Decoded("Any", object(), {})  # type: ignore[arg-type]
    return Record("t", message.partition(), message.offset(), decoded, message)


@pytest.fixture
def kept() -> Kept:
    return Kept()


def attributes(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


def test_an_event_is_a_span_until_the_broker_has_it(kept: Kept) -> None:
    kept.traces.sending("t", "id-1").done(None, Message(2, 7))
    (span,) = kept.spans
    assert (span.name, span.kind, span.status.status_code) == ("send t", SpanKind.PRODUCER, StatusCode.UNSET)
    assert attributes(span) == {
        "messaging.system": "kafka",
        "messaging.operation.name": "send",
        "messaging.operation.type": "send",
        "messaging.destination.name": "t",
        "messaging.message.id": "id-1",
        "messaging.destination.partition.id": "2",
        "messaging.kafka.offset": 7,
    }


def test_an_event_that_the_broker_does_not_take_is_an_error(kept: Kept) -> None:
    kept.traces.sending("t", "id-1").done(KafkaError(KafkaError._MSG_TIMED_OUT), None)
    (span,) = kept.spans
    assert span.status.status_code == StatusCode.ERROR
    assert attributes(span)["error.type"] == "_MSG_TIMED_OUT"


def test_a_transaction_is_a_span_with_a_link_to_each_event(kept: Kept) -> None:
    records = [kept.record(offset) for offset in (5, 6)]
    before = time.time_ns()
    kept.observer.committing(records, {0: Move(5, 7)})
    kept.observer.stored(Stored(records, {0: Move(5, 7)}, 0.25, 0.5))
    (span,) = kept.spans
    assert (span.name, span.kind, span.status.status_code) == ("process t", SpanKind.CONSUMER, StatusCode.UNSET)
    assert span.parent is None
    assert [link.context for link in span.links] == [origin_of(record.message) for record in records]
    assert [dict(link.attributes or {})["messaging.kafka.offset"] for link in span.links] == [5, 6]
    assert span.start_time is not None
    assert span.end_time is not None
    assert span.end_time - span.start_time == 250_000_000
    assert before - 500_000_000 <= span.end_time <= time.time_ns() - 500_000_000
    assert attributes(span) == {
        "messaging.system": "kafka",
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.destination.name": "t",
        "messaging.destination.partition.id": "0",
        "messaging.consumer.group.name": "journey",
        "messaging.batch.message_count": 2,
        "kafkajourney.dead_letters": 0,
        "kafkajourney.offsets": ("0: 5-6",),
    }


def test_an_event_that_is_alone_in_its_batch_has_the_whole_way_in_one_trace(kept: Kept) -> None:
    alone = kept.record(5)
    kept.observer.stored(Stored([alone], {0: Move(5, 6)}, 0.1, 0.0))
    (span,) = kept.spans
    assert span.parent == origin_of(alone.message) == span.links[0].context
    assert span.context.trace_id == span.links[0].context.trace_id


def test_links_are_bounded_and_none_is_there_twice(kept: Kept) -> None:
    same = kept.record(0)
    records = [same, same, *(kept.record(offset) for offset in range(1, 2 * MOST_LINKS))]
    kept.observer.stored(Stored(records, {0: Move(0, 1)}, 0.1, 0.0))
    (span,) = kept.spans
    assert [link.context for link in span.links] == [origin_of(r.message) for r in records[1 : MOST_LINKS + 1]]
    assert attributes(span)["messaging.batch.message_count"] == 2 * MOST_LINKS + 1


@pytest.mark.parametrize(
    "headers",
    [
        (),
        (("other", b"x"),),
        (("traceparent", None),),
        (("traceparent", b"\xff\xfe"),),
        (("traceparent", b"00-" + b"0" * 32 + b"-" + b"0" * 16 + b"-01"),),
        (("traceparent", b"nonsense"), ("tracestate", b"\x00=\xff")),
    ],
)
def test_an_event_without_a_trace_is_processed_all_the_same(kept: Kept, headers: Any) -> None:
    kept.observer.stored(Stored([record(Traced(0, 5, *headers))], {0: Move(5, 6)}, 0.1, 0.0))
    (span,) = kept.spans
    assert span.parent is None
    assert len(span.links) == 0


def test_a_transaction_that_fails_is_an_error_with_its_links(kept: Kept) -> None:
    records = [kept.record(offset) for offset in (5, 6)]
    kept.observer.committing(records, {0: Move(5, 7)})
    kept.observer.failed(DatabaseAwayError("away DETAIL: Key (user_id)=(ada)"), [0], 1.0)
    kept.observer.failed(RegistryAwayError("away too"), [0], 1.0)
    first, second = kept.spans
    assert [span.status.status_code for span in kept.spans] == [StatusCode.ERROR, StatusCode.ERROR]
    assert first.status.description == "away …"
    assert attributes(first)["error.type"] == "DatabaseAwayError"
    assert attributes(first)["kafkajourney.offsets"] == ("0: 5-6",)
    assert len(first.links) == 2
    assert attributes(second)["messaging.batch.message_count"] == 0


def test_the_loop_tells_which_transaction_failed(kept: Kept) -> None:
    bench = Bench(kept.observer)
    bench.assign(0)
    bench.turn()
    bench.store.failures = [DatabaseAwayError("away")]
    message: Any = kept.record(0).message
    bench.turn(message)
    bench.now = bench.retry_at()
    bench.turn(message)
    assert [span.status.status_code for span in kept.spans] == [StatusCode.ERROR, StatusCode.UNSET]
    assert [span.links[0].context for span in kept.spans] == [origin_of(message)] * 2


# --- processes -------------------------------------------------------------------------------------------------------


class Collector:
    """Takes spans over OTLP/HTTP."""

    def __init__(self) -> None:
        self.spans: list[tuple[str, Any]] = []
        """The service and its span, in the order of arrival."""
        spans = self.spans

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                    named = {one.key: one.value.string_value for one in resource.resource.attributes}
                    spans.extend(
                        (named["service.name"], span) for scope in resource.scope_spans for span in scope.spans
                    )
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_arguments: Any) -> None:
                """Write nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    @property
    def variables(self) -> dict[str, str]:
        return {ENDPOINT: f"http://127.0.0.1:{self.server.server_port}"}

    def of(self, service: str) -> list[Any]:
        return [span for name, span in self.spans if name == service]


@pytest.fixture
def collector() -> Iterator[Collector]:
    made = Collector()
    thread = threading.Thread(target=made.server.serve_forever, args=(0.02,))
    thread.start()
    yield made
    made.server.shutdown()
    thread.join()
    made.server.server_close()


def values(span: Any) -> dict[str, Any]:
    return {one.key: one.value.string_value or one.value.int_value for one in span.attributes}


@pytest.mark.stack
def test_the_transactions_are_linked_to_the_events_that_they_store(commands: Commands, collector: Collector) -> None:
    commands.run("producer", "--rate", "0", "--count", "40", variables=collector.variables)
    commands.run("consumers.journey", "--until-caught-up", variables=collector.variables)
    sent = collector.of("kafkajourney-producer")
    stored = collector.of("kafkajourney-journey")
    assert len({(span.trace_id, span.span_id) for span in sent}) == 40
    assert len({span.trace_id for span in sent}) == 40
    linked = [(link.trace_id, link.span_id) for span in stored for link in span.links]
    assert sorted(linked) == sorted((span.trace_id, span.span_id) for span in sent)
    assert sum(values(span)["messaging.batch.message_count"] for span in stored) == 40
    places = {(p, values(span)["messaging.kafka.offset"]) for span in sent
              if (p := values(span)["messaging.destination.partition.id"])}  # fmt: skip
    assert len(places) == 40
    assert places == {
        (values(link)["messaging.destination.partition.id"], values(link)["messaging.kafka.offset"])
        for span in stored
        for link in span.links
    }


@pytest.mark.stack
def test_a_service_has_the_name_that_it_is_given(commands: Commands, collector: Collector) -> None:
    named = {"OTEL_SERVICE_NAME": "shop", "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment=test"}
    commands.run("producer", "--rate", "0", "--count", "1", variables=collector.variables | named)
    assert [name for name, _ in collector.spans] == ["shop"]


@pytest.mark.stack
def test_without_traces_records_have_no_headers(stack: Settings, commands: Commands, collector: Collector) -> None:
    commands.run("producer", "--rate", "0", "--count", "1")
    commands.run("producer", "--rate", "0", "--count", "1", variables=collector.variables)
    commands.run("producer", "--rate", "0", "--count", "1", variables={"OTEL_TRACES_EXPORTER": "none"})
    reader = clients.reader(stack)
    messages = [
        message
        for partition, end in reading.end_offsets(stack).items()
        for message in reading.records(reader, stack.topic, partition, 0, end)
    ]
    reader.close()
    messages.sort(key=lambda message: message.timestamp()[1])
    names = [[name for name, _ in message.headers() or ()] for message in messages]
    assert names == [[], ["traceparent"], []]


@pytest.mark.stack
def test_a_collector_that_never_answers_does_not_hold_up_the_end(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(tracing, "FLUSH_TIMEOUT", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv(ENDPOINT, f"http://127.0.0.1:{silent.getsockname()[1]}")
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "2")
        began = time.monotonic()
        with tracing.tracing("kafkajourney-test", {"OTEL_TRACES_EXPORTER": "otlp"}) as traces:
            traces.sending("t", "id").done(None, Message(0, 0))
        assert time.monotonic() - began < 1.5
        wait_for(lambda: not any("OtelBatch" in thread.name for thread in threading.enumerate()))
    assert "the last spans could not be sent within" in caplog.text


def test_where_nothing_is_traced_nothing_is_done() -> None:
    assert OFF.sending("t", "id") is OFF.sending("t", "id")
    assert OFF.sending("t", "id").headers is None
    assert OFF.observers("t", "journey") == ()
