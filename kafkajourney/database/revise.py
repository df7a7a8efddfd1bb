"""The application's next revision: what its tables have, and its revisions do not make yet."""

from pathlib import Path

from alembic import command as alembic
from sqlalchemy import create_engine

from kafkajourney import application
from kafkajourney.database import branches, engines
from kafkajourney.database.branches import APPLICATION


def next_revision(message: str) -> tuple[Path, bool]:
    """Write the next revision; return its file, and whether anything is in it. Needs no database.

    The tables of the groups are compared with what the revisions make of an empty SQLite database in memory. Raises
    StopError where Alembic refuses.
    """
    folder = application.current().migrations / "versions"
    known = branches.numbers(branches.scripts().get_heads()).get(APPLICATION)
    name = f"{APPLICATION}_{(known or 0) + 1:04}"
    config = branches.alembic_config()
    config.set_main_option("file_template", "%%(rev)s_%%(slug)s")
    empty = create_engine("sqlite://")
    with engines.disposed(empty), empty.connect() as connection, branches.clear_errors():
        config.attributes["connection"] = connection
        for newest in branches.ways():
            alembic.upgrade(config, newest)
        alembic.revision(
            config,
            message,
            autogenerate=True,
            head=f"{APPLICATION}@head" if known else "base",
            branch_label=None if known else APPLICATION,
            rev_id=name,
            version_path=str(folder),
        )
    path = Path(branches.scripts().get_revision(name).path)
    return path, "op." in path.read_text(encoding="utf-8")
