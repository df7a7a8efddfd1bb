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
        **branches.options(),
    )
    context.static_output(dialect.SCRIPT_HEAD)
    with context.begin_transaction():
        if config.attributes["carry over"]:
            for statement in carry_over.statements(context.get_context()):
                context.execute(statement)
        context.run_migrations()
    context.static_output(dialect.SCRIPT_FOOT)
else:
    context.configure(connection=config.attributes["connection"], **branches.options())
    with context.begin_transaction():
        context.run_migrations()
