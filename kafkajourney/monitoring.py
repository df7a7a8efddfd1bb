"""``--metrics-port``: metrics and health of a process over HTTP, where they are asked for.

Only then is ``kafkajourney.metrics_server`` imported, which serves them: a start without it is a quarter shorter.
"""

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple, TypeVar

import click

from kafkajourney.clients import OnStatistics
from kafkajourney.events import Event
from kafkajourney.observer import Observer
from kafkajourney.settings import Settings

R = TypeVar("R")


class Address(NamedTuple):
    """Where a process serves its metrics."""

    host: str
    port: int


def monitoring_options(command: Callable[..., R]) -> Callable[..., R]:
    """Give a click command ``--metrics-port`` and ``--metrics-host``; it receives ``metrics``, an Address or None."""

    @functools.wraps(command)
    def with_address(metrics_host: str, metrics_port: int | None, **arguments: Any) -> R:
        address = None if metrics_port is None else Address(metrics_host, metrics_port)
        return command(metrics=address, **arguments)

    host = click.option(
        "--metrics-host",
        default="127.0.0.1",
        show_default=True,
        envvar="KAFKAJOURNEY_METRICS_HOST",
        help="Address to serve metrics and health at; there is neither TLS nor a password.",
    )
    port = click.option(
        "--metrics-port",
        type=click.IntRange(0, 65535),
        envvar="KAFKAJOURNEY_METRICS_PORT",
        help="Serve /metrics, /healthz and /readyz at this port; 0: a free one, which the log names.  [default: none]",
    )
    return port(host(with_address))


class ConsumerMonitor(NamedTuple):
    """What a consumer's parts have to tell."""

    observer: Observer
    on_statistics: OnStatistics | None


def _nothing(*_: object) -> None:
    pass


class ProducerMonitor(NamedTuple):
    """What a producer's parts have to tell."""

    on_statistics: OnStatistics | None = None
    listeners: tuple[Callable[[Event, Any], None], ...] = ()
    turned: Callable[[], None] = _nothing
    watch: Callable[[Any], None] = _nothing


@contextmanager
def monitored_consumer(address: Address | None, settings: Settings, group: str) -> Iterator[ConsumerMonitor]:
    """Serve a consumer's metrics and health until the block ends; without an address do nothing.

    Raises SettingsError where the port cannot be had.
    """
    if address is None:
        yield ConsumerMonitor(Observer(), None)
        return
    from kafkajourney.metrics_server import serve_consumer  # noqa: PLC0415 # slow to import

    with serve_consumer(address, settings, group) as monitor:
        yield monitor


@contextmanager
def monitored_producer(address: Address | None, settings: Settings) -> Iterator[ProducerMonitor]:
    """Serve a producer's metrics and health until the block ends; without an address do nothing.

    Raises SettingsError where the port cannot be had.
    """
    if address is None:
        yield ProducerMonitor()
        return
    from kafkajourney.metrics_server import serve_producer  # noqa: PLC0415 # slow to import

    with serve_producer(address, settings) as monitor:
        yield monitor
