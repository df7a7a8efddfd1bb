"""The embedded schema registry, served by a thread of this process.

See docs/decisions/0004-embedded-default.md.
"""

import socket
from threading import Thread

from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server

from kafkajourney.embedded.registry_app import RegistryApp
from kafkajourney.embedded.registry_store import RegistryStore
from kafkajourney.errors import StopError


class RegistryServer:
    """A schema registry for as long as the ``with`` block lasts: ``with RegistryServer() as server: server.url``.

    Parameters
    ----------
    host, port
        Where to listen; port 0 takes a free one.

    Raises
    ------
    StopError
        On entering, if the port is not free.

    """

    def __init__(self, host: str = "127.0.0.1", port: int = 0) -> None:
        self._host, self._port = host, port
        self._app = RegistryApp(RegistryStore())

    def __enter__(self) -> "RegistryServer":
        self._server = _listen(self._host, self._port, self._app)
        self._thread = Thread(target=self._server.serve_forever, args=(0.02,), name="registry", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()

    @property
    def url(self) -> str:
        """Return the address for a client's ``url``."""
        return f"http://{self._host}:{self._server.port}"


class _QuietHandler(WSGIRequestHandler):
    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Write no line for every request."""


def _listen(host: str, port: int, app: "RegistryApp") -> BaseWSGIServer:
    # werkzeug would print and exit where the port is taken, so that the socket is made here.
    try:
        listener = socket.create_server((host, port))
    except OSError as error:
        raise StopError(
            f"The embedded registry cannot listen on {host}:{port}: {error.strerror}. Choose another port, or 0."
        ) from None
    with listener:
        return make_server(host, port, app, threaded=True, request_handler=_QuietHandler, fd=listener.fileno())
