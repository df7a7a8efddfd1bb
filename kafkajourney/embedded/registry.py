"""The embedded schema registry, served by a thread of this process.

See docs/decisions/0004-embedded-default.md.
"""

from kafkajourney.embedded.registry_app import RegistryApp
from kafkajourney.embedded.registry_store import RegistryStore
from kafkajourney.errors import StopError
from kafkajourney.web import WebServer


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
        try:
            self._server = WebServer(self._host, self._port, self._app, "registry")
        except OSError as error:
            raise StopError(
                f"The embedded registry cannot listen on {self._host}:{self._port}: {error.strerror}. Choose another "
                "port, or 0."
            ) from None
        self._server.__enter__()
        return self

    def __exit__(self, *exception: object) -> None:
        self._server.__exit__(*exception)

    @property
    def url(self) -> str:
        """Return the address for a client's ``url``."""
        return f"http://{self._host}:{self._server.port}"
