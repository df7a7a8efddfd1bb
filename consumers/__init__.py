"""The two consumer groups: ``journey`` stores every event, ``analytic`` counts VideoPlayed per user."""
