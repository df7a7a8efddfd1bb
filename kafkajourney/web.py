"""A small HTTP server in a thread of this process, bounded in threads, connections and time."""

import socket
from threading import Event, Thread
from typing import TYPE_CHECKING

from waitress.channel import HTTPChannel
from waitress.server import create_server
from waitress.task import WSGITask

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

THREADS = 4
CONNECTIONS = 100
"""Open connections: more wait until one of them ends, or has been silent for too long."""

SILENT_SECONDS = 10
"""Seconds after which a connection that says nothing is closed."""


class _Task(WSGITask):  # type: ignore[misc]
    """Closes the connection after its answer: these servers are asked now and then, and hold nobody's connection."""

    def build_response_header(self) -> bytes:
        self.set_close_on_finish()
        return super().build_response_header()  # type: ignore[no-any-return]


class _Channel(HTTPChannel):  # type: ignore[misc]
    task_class = _Task


class WebServer:
    """Serves a WSGI application for as long as the ``with`` block lasts; port 0 takes a free one.

    Raises OSError where it cannot listen there.
    """

    def __init__(self, host: str, port: int, app: "WSGIApplication", name: str) -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listener = socket.create_server((host, port), family=family)
        self.port: int = listener.getsockname()[1]
        self._server = create_server(
            app,
            sockets=[listener],
            threads=THREADS,
            connection_limit=CONNECTIONS,
            channel_timeout=SILENT_SECONDS,
            cleanup_interval=SILENT_SECONDS // 2,
            ident=None,
        )
        self._server.channel_class = _Channel
        self._stopping = Event()
        self._thread = Thread(target=self._serve, name=name, daemon=True)

    def __enter__(self) -> "WebServer":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        if self._thread.is_alive():
            self._server.pull_trigger()
            self._thread.join()

    def _serve(self) -> None:
        while not self._stopping.is_set():
            self._server.asyncore.loop(timeout=1, map=self._server._map, count=1)
        # Who still answers ends first: it would wake a server that is closed.
        self._server.task_dispatcher.shutdown()
        for connection in list(self._server.active_channels.values()):
            connection.handle_close()
        self._server.close()
