"""Whether OpenTelemetry's own variables ask for traces.

``kafkajourney.watching.otel`` makes the spans; it alone imports OpenTelemetry, which is an extra. What a trace looks
like: docs/decisions/0010-logs-and-traces.md.
"""

import logging
from collections.abc import Iterator, Mapping
from concurrent import futures
from contextlib import contextmanager

from kafkajourney.background import in_thread
from kafkajourney.command.logs import event
from kafkajourney.errors import SettingsError
from kafkajourney.watching.traces import OFF, Traces

ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
EXPORTERS = ("otlp", "console")
PROTOCOL = "http/protobuf"

FLUSH_TIMEOUT = 5.0
"""Seconds that the last spans may take at the end of a process."""

log = logging.getLogger("kafkajourney.tracing")


@contextmanager
def tracing(service: str, environ: Mapping[str, str]) -> Iterator[Traces]:
    """Yield what traces, as the variables say; send the last spans with the block's end, not for long.

    ``service`` is the process's name in traces where OTEL_SERVICE_NAME gives none. Raises SettingsError where what the
    variables ask for cannot be had.
    """
    exporters = exporters_wanted(environ)
    if not exporters:
        yield OFF
        return
    try:
        from kafkajourney.watching.otel import OpenTelemetry, provider  # noqa: PLC0415 # an extra, and slow to import
    except ModuleNotFoundError as error:
        raise SettingsError(
            f"Traces are asked for ({', '.join(sorted(set(environ) & {*ENDPOINTS, 'OTEL_TRACES_EXPORTER'}))}), but "
            f"OpenTelemetry is not installed ({error}). Run: pip install 'kafkajourney[otel]', or set "
            "OTEL_TRACES_EXPORTER=none."
        ) from None
    spans = provider(service, exporters)
    try:
        yield OpenTelemetry(spans)
    finally:
        ended = in_thread(spans.shutdown)
        if not futures.wait([ended], FLUSH_TIMEOUT).done:
            log.warning("the last spans could not be sent within %.0f s", FLUSH_TIMEOUT, extra=event("spans_lost"))


def exporters_wanted(environ: Mapping[str, str]) -> tuple[str, ...]:
    """Return where spans are to go; nowhere by default, unlike OpenTelemetry's own: a collector is no part of this.

    Raises SettingsError where it is somewhere that this project cannot send to.
    """
    if environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return ()
    default = "otlp" if any(environ.get(name) for name in ENDPOINTS) else "none"
    names = (environ.get("OTEL_TRACES_EXPORTER") or default).split(",")
    wanted = tuple(name.strip() for name in names if name.strip() != "none")
    if unknown := [name for name in wanted if name not in EXPORTERS]:
        raise SettingsError(f"OTEL_TRACES_EXPORTER={unknown[0]} is not supported. Supported are: otlp, console, none.")
    protocol = next((environ[name] for name in PROTOCOLS if environ.get(name)), PROTOCOL)
    if "otlp" in wanted and protocol != PROTOCOL:
        raise SettingsError(f"OTEL_EXPORTER_OTLP_PROTOCOL={protocol} is not supported. Supported is: {PROTOCOL}.")
    return wanted
