"""The group ``journey``: every event, in the order produced, in the table ``journey_events``."""
