"""The seam to the schema registry: its client, and events to and from the Confluent wire format."""
