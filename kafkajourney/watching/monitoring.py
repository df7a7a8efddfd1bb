"""The door of this room: what watches a process, put together as its options and the environment ask.

The log always; metrics and health over HTTP with ``--metrics-port``, traces where OpenTelemetry's variables ask for
them. Only then are the modules imported that do it: a start without them is a quarter shorter.
"""

import functools
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import click

from kafkajourney.settings import Settings
from kafkajourney.watching.loop_log import LoopLog
from kafkajourney.watching.monitors import Address, ConsumerMonitor, ProducerMonitor
from kafkajourney.watching.observer import Observer, together
from kafkajourney.watching.tracing import tracing

R = TypeVar("R")


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


@contextmanager
def monitored_consumer(
    address: Address | None, settings: Settings, group: str, *more: Observer
) -> Iterator[ConsumerMonitor]:
    """Watch a consumer until the block ends; ``more`` are observers to be told besides.

    Without an address there are no metrics. Raises SettingsError where its port cannot be had, or where the variables
    ask for traces that cannot be made.
    """
    with tracing(f"kafkajourney-{group}", os.environ) as traces, _served_consumer(address, settings, group) as served:
        observers = [LoopLog(settings.topic), *more, *traces.observers(settings.topic, group), served.observer]
        yield served._replace(observer=together(*observers))


@contextmanager
def monitored_producer(address: Address | None, settings: Settings) -> Iterator[ProducerMonitor]:
    """Watch a producer until the block ends; without an address there are no metrics.

    Raises as ``monitored_consumer``.
    """
    with tracing("kafkajourney-producer", os.environ) as traces, _served_producer(address, settings) as served:
        yield served._replace(traces=traces)


@contextmanager
def _served_consumer(address: Address | None, settings: Settings, group: str) -> Iterator[ConsumerMonitor]:
    if address is None:
        yield ConsumerMonitor(Observer())
        return
    from kafkajourney.watching.server import serve_consumer  # noqa: PLC0415 # slow to import

    with serve_consumer(address, settings, group) as monitor:
        yield monitor


@contextmanager
def _served_producer(address: Address | None, settings: Settings) -> Iterator[ProducerMonitor]:
    if address is None:
        yield ProducerMonitor()
        return
    from kafkajourney.watching.server import serve_producer  # noqa: PLC0415 # slow to import

    with serve_producer(address, settings) as monitor:
        yield monitor
