"""``INSERT ... ON CONFLICT``, which SQLite and PostgreSQL have in common."""

from sqlalchemy.engine.interfaces import Dialect

from kafkajourney.database.dialects.rows import change
from kafkajourney.group import Group


def names_of(group: Group, dialect: Dialect) -> str:
    """Return the columns of a row, quoted, with commas between them."""
    return ", ".join(dialect.identifier_preparer.quote_identifier(column.name) for column in group.columns)


def upsert(group: Group, source: str, dialect: Dialect) -> str:
    """Return the statement that adds the rows of ``source`` (``VALUES ...`` or ``SELECT ...``) to a group's table."""
    preparer = dialect.identifier_preparer
    quoted = preparer.quote_identifier
    changes = ", ".join(change(quoted(column.name), merge, "excluded") for column, merge in group.merged)
    return (
        f"INSERT INTO {preparer.format_table(group.table)} AS known ({names_of(group, dialect)}) {source} "
        f"ON CONFLICT ({', '.join(quoted(column.name) for column in group.key)}) DO UPDATE SET {changes}"
    )
