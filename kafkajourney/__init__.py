"""The library: everything about a journey's events that would be the same for other events.

The application (``schemas``, ``producer``, ``consumers``, ``migrations``) uses it, never the reverse.
What is in which room: docs/architecture.md.
"""

__version__ = "0.1.0"
