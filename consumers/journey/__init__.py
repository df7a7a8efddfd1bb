"""The group ``journey``: every event, in the order produced, in the table ``journey_events``."""

from consumers.journey.rows import rows
from consumers.journey.table import journey_events
from kafkajourney.group import Group

JOURNEY = Group("journey", wanted=None, table=journey_events, rows=rows, person="user_id")
