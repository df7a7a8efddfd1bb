"""Alembic's environment: the connection comes from ``python -m migrations``; offline, only the dialect."""

from alembic import context

from kafkajourney import application
from kafkajourney.database.tables import metadata

config = context.config
tables = [metadata, *(group.table.metadata for group in application.current().groups.values())]

if context.is_offline_mode():
    context.configure(
        dialect_name=config.attributes["dialect"],
        target_metadata=tables,
        literal_binds=True,
        dialect_opts={"paramstyle": "named"},
    )
    with context.begin_transaction():
        context.run_migrations()
else:
    context.configure(connection=config.attributes["connection"], target_metadata=tables, compare_type=True)
    with context.begin_transaction():
        context.run_migrations()
