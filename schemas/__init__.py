"""The event types as Avro schemas: one folder a type, one file a version, and the classes generated from them."""
