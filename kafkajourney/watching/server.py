"""The server of ``--metrics-port``.

``/metrics`` for Prometheus; ``/healthz`` and ``/readyz`` say 200, or 503 with the reason. Without TLS and without a
password: for the loopback interface, or a network of one's own.
"""

import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, ProcessCollector, disable_created_metrics, make_wsgi_app
from werkzeug.wrappers import Response

from kafkajourney.command.logs import event
from kafkajourney.database import engines
from kafkajourney.errors import SettingsError
from kafkajourney.kafka import bounds, clients
from kafkajourney.registry.client import Registry
from kafkajourney.settings import Settings
from kafkajourney.watching.consumer_metrics import ConsumerMetrics
from kafkajourney.watching.health import PATIENCE, ConsumerHealth, Health, Probe, ask_database, ask_registry
from kafkajourney.watching.monitors import Address, ConsumerMonitor, ProducerMonitor
from kafkajourney.watching.observer import together
from kafkajourney.watching.producer_metrics import ProducerMetrics
from kafkajourney.web import WebServer

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

SCRAPE_PATIENCE = 1.0
"""Seconds that a scrape waits for the broker to tell the ends of the partitions."""

log = logging.getLogger("kafkajourney.monitoring")


@contextmanager
def serve_consumer(address: Address, settings: Settings, group: str) -> Iterator[ConsumerMonitor]:
    """Serve a consumer's metrics and health until the block ends."""
    ends = _ends(settings)
    metrics = ConsumerMetrics(group, settings.topic, partial(ends, timeout=SCRAPE_PATIENCE))
    quick = replace(settings, schema_registry={**settings.schema_registry, "timeout": PATIENCE})
    health = ConsumerHealth(
        [
            Probe("database", partial(ask_database, engines.engine(settings), settings)),
            Probe("registry", partial(ask_registry, Registry(quick, max_retries=0), settings)),
            _broker_probe(ends),
        ]
    )
    with _served(address, metrics.registry, health):
        yield ConsumerMonitor(together(metrics, health), metrics.on_statistics)


@contextmanager
def serve_producer(address: Address, settings: Settings) -> Iterator[ProducerMonitor]:
    """Serve a producer's metrics and health until the block ends.

    It is ready without the registry: it has all its schemas from its start on.
    """
    metrics = ProducerMetrics()
    health = Health([_broker_probe(_ends(settings))])
    with _served(address, metrics.registry, health):
        yield ProducerMonitor(metrics.on_statistics, (metrics.on_delivered,), health.polled, metrics.watch)


def _ends(settings: Settings) -> Callable[..., Mapping[int, int]]:
    """Return what asks for the ends of partitions, by a client of its own.

    The consumer may be closed while another thread asks it.
    """
    return partial(bounds.ends_told, clients.asker(settings), settings.topic)


def _broker_probe(ends: Callable[..., Mapping[int, int]]) -> Probe:
    """Return what asks for the end of one partition: little, and allowed to all who work with the topic."""
    return Probe("broker", partial(ends, [0], timeout=PATIENCE))


# --- HTTP -------------------------------------------------------------------------------------------------------


@contextmanager
def _served(address: Address, registry: CollectorRegistry, health: Health) -> Iterator[None]:
    """Serve until the block ends; ask meanwhile what the process needs."""
    registry.register(health)
    ProcessCollector(registry=registry)
    disable_created_metrics()  # type: ignore[no-untyped-call] # a series more for each counter, of no use here
    server = _listen(address, application(registry, health))
    url = f"http://{address.host}:{server.port}/metrics"
    log.info("metrics: %s", url, extra=event("metrics", url=url))
    stop = threading.Event()
    for probe in health.probes:
        threading.Thread(target=probe.watch, args=(stop,), name=f"probe of {probe.part}", daemon=True).start()
    try:
        with server:
            yield
    finally:
        stop.set()


def application(registry: CollectorRegistry, health: Health) -> "WSGIApplication":
    """Return the WSGI application with the three pages."""
    pages: dict[str, WSGIApplication] = {
        "/metrics": make_wsgi_app(registry),
        "/healthz": _verdict(health.why_dead),
        "/readyz": _verdict(health.why_not_ready),
    }

    def page(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        missing = Response(f"There are only {', '.join(pages)}.\n", 404)
        return pages.get(environ["PATH_INFO"], missing)(environ, start_response)

    return page


def _verdict(complaints: Callable[[], list[str]]) -> "WSGIApplication":
    def page(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        found = complaints()
        response = Response("; ".join(found) + "\n", 503) if found else Response("ok\n")
        return response(environ, start_response)

    return page


def _listen(address: Address, app: "WSGIApplication") -> WebServer:
    try:
        return WebServer(address.host, address.port, app, "metrics")
    except OSError as error:
        reason = str(error.strerror).partition(" (while")[0]
        raise SettingsError(
            f"Metrics cannot be served at {address.host}:{address.port}: {reason}. Choose another "
            "--metrics-port (0 takes a free one) or --metrics-host."
        ) from None
