"""The history of the tables: an Alembic environment, its revisions, and ``python -m migrations``."""
