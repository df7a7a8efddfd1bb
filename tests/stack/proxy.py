"""A proxy between clients and a server that we cannot stop: what it does to the connections, an outage would."""

import contextlib
import socket
import threading
from typing import Self

from tests.stack.server import HOST, free_port

CONNECT_TIMEOUT = 5.0


class Proxy:
    """Passes connections on, on a port of the loopback interface that it keeps.

    To its clients it is a server that is killed, frozen and started again: ``tests.stack.server.Server``'s words.
    """

    def __init__(self, host: str, port: int) -> None:
        self._server = host, port
        self.port = free_port()
        self._listener: socket.socket | None = None
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._awake = threading.Event()
        self._awake.set()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        self.wake()

    def start(self) -> None:
        """Take connections."""
        self._listener = socket.create_server((HOST, self.port))
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def kill(self) -> None:
        """Cut what is connected and refuse whoever connects, until it is started again."""
        if self._listener is not None:
            _close(self._listener)
            self._listener = None
        self.cut()

    def stop(self) -> None:
        """The same: those behind it cannot be asked to end."""
        self.kill()

    def cut(self) -> None:
        """Cut what is connected; whoever connects anew is let through."""
        with self._lock:
            connected, self._open = self._open, set()
        _close(*connected)

    def freeze(self) -> None:
        """Go on taking connections, and pass nothing on, in either direction."""
        self._awake.clear()

    def wake(self) -> None:
        """Pass on what has come meanwhile, and all that comes."""
        self._awake.set()

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):  # it was closed
            while True:
                client, _ = listener.accept()
                threading.Thread(target=self._join, args=(client,), daemon=True).start()

    def _join(self, client: socket.socket) -> None:
        try:
            server = socket.create_connection(self._server, CONNECT_TIMEOUT)
        except OSError:
            _close(client)
            return
        server.settimeout(None)
        with self._lock:
            self._open |= {client, server}
        threading.Thread(target=self._pass_on, args=(client, server), daemon=True).start()
        self._pass_on(server, client)

    def _pass_on(self, one: socket.socket, other: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := one.recv(65536):
                self._awake.wait()
                other.sendall(data)
        _close(one, other)
        with self._lock:
            self._open -= {one, other}


def _close(*sockets: socket.socket) -> None:
    for each in sockets:
        with contextlib.suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)
        each.close()
