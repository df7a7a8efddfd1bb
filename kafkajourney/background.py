"""Work in a thread of its own, for what may hang."""

import threading
from collections.abc import Callable
from concurrent import futures
from typing import TypeVar

R = TypeVar("R")


def in_thread(work: Callable[[], R]) -> "futures.Future[R]":
    """Run the work in a thread that does not keep the process alive where it hangs."""
    future: futures.Future[R] = futures.Future()

    def run() -> None:
        try:
            future.set_result(work())
        except Exception as error:  # noqa: BLE001 # raised again by future.result()
            future.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return future
