"""How a connection reads: it waits for no writer, and can see the database as it was at one moment."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection

READ_ONLY: Mapping[str, Any] = {"read_only": True}
"""Execution options of a connection that only reads, so that it waits for no writer."""


def is_read_only(connection: Connection) -> bool:
    """Whether a connection has the options of ``READ_ONLY``."""
    return bool(connection.get_execution_options().get("read_only", False))
