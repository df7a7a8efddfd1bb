"""Avro schemas, pure: the event types' files, what their JSON means, how versions differ, who can read whom."""
