"""The embedded default: a broker, a schema registry and a SQLite database that live and die as one unit."""
