"""Verification: whether the tables hold what the topic holds, every event once, in order, and every total right."""
