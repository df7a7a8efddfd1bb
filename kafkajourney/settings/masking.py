"""Secrets, where they would be printed."""

import re

MASK = "***"

_PART = re.compile(r"(?i)\b([\w .]*(?:password|pwd|secret|token|key)[\w ]*)\s*=\s*(\{(?:[^}]|\}\})*\}|[^;]*)")


def is_secret(name: str) -> bool:
    """Whether a property of this name holds a secret; one that says where a secret is does not."""
    plain = name.lower()
    if plain.endswith((".location", "_location", "path", "file")):
        return False
    return any(word in plain for word in ("password", "pwd", "passphrase", "secret", "token", "key", "user.info"))


def masked(name: str, value: str) -> str:
    """Return a value of this name without the secret that it is or has (an ODBC connection string)."""
    return MASK if is_secret(name) else _PART.sub(rf"\1={MASK}", value)
