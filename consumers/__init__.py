"""The consumer groups: ``journey`` stores every event, ``analytic`` counts VideoPlayed per user."""

from consumers.analytic import ANALYTIC
from consumers.journey import JOURNEY

GROUPS = (JOURNEY, ANALYTIC)
"""All of them, in the order in which commands show them."""
