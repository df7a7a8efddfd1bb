"""Alembic's environment: the connection comes from ``python -m migrations``; offline, only the dialect."""

from alembic import context

from kafkajourney.database import branches, carry_over
from kafkajourney.database.dialect import DIALECTS

config = context.config

if context.is_offline_mode():
    name = config.attributes["dialect"]
    dialect = DIALECTS[name]
    context.configure(
        dialect_name=name,
        literal_binds=True,
        dialect_opts={"paramstyle": "named"},
        mssql_batch_separator=dialect.SCRIPT_SEPARATOR,
        **branches.options(config),
    )
    migration = context.get_context()
    is_transaction = migration.impl.transactional_ddl
    if config.attributes["begins"]:
        context.static_output(dialect.SCRIPT_HEAD)
        if is_transaction:
            migration.impl.emit_begin()
    if config.attributes["carry over"]:
        for statement in carry_over.statements(migration):
            context.execute(statement)
    context.run_migrations()
    if config.attributes["ends"]:
        if is_transaction:
            migration.impl.emit_commit()
        context.static_output(dialect.SCRIPT_FOOT)
else:
    context.configure(connection=config.attributes["connection"], **branches.options(config))
    with context.begin_transaction():
        context.run_migrations()
