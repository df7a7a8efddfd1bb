"""Settings: read once, validated once, frozen, passed on; each with where it comes from."""

from kafkajourney.settings.layers import load
from kafkajourney.settings.model import ADDRESSES, DEFAULT, DEFAULTS, DIALECTS, ENVIRONMENT, TOML_FILE, Settings

__all__ = ["ADDRESSES", "DEFAULT", "DEFAULTS", "DIALECTS", "ENVIRONMENT", "TOML_FILE", "Settings", "load"]
