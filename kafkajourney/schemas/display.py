"""Tables for a terminal and for a pull request."""

from collections.abc import Iterable, Sequence

from rich.table import Table
from rich.text import Text


def table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> Table:
    """Return a table for the terminal; what the cells hold is shown as it is."""
    made = Table(box=None, pad_edge=False)
    for title in titles:
        made.add_column(title, overflow="fold")
    for row in rows:
        made.add_row(*map(Text, row))
    return made


def markdown(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table in GitHub's Markdown."""
    lines = [titles, ["---"] * len(titles), *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
