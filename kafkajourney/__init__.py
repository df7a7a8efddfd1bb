"""What the packages ``schemas``, ``producer``, ``consumers`` and ``migrations`` share."""

__version__ = "0.1.0"
