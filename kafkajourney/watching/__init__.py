"""What watches a process: its log, metrics, health and traces; ``monitoring`` is the door."""
