"""Finding the rows that a database refuses among those that it takes."""

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from kafkajourney.errors import RefusedError

R = TypeVar("R")


def refused_among(
    records: Sequence[R], test: Callable[[Sequence[R]], None], *, known: bool = True
) -> Iterator[tuple[R, RefusedError]]:
    """Yield each record that the database refuses, in their order, with the reason.

    ``test`` raises RefusedError where one of the records that it is given is refused, and keeps nothing of the others.
    ``known``: they were tested together already, and refused. For r refused records among n there are about
    2 r log2(n / r) tests: their number grows with the refused ones, hardly with the batch.
    """
    if len(records) == 1 or not known:
        try:
            test(records)
        except RefusedError as reason:
            if len(records) == 1:
                yield records[0], reason
                return
        else:
            return
    middle = len(records) // 2
    first = list(refused_among(records[:middle], test, known=False))
    yield from first
    # Where all of the first half are taken, it is the second half that was refused.
    yield from refused_among(records[middle:], test, known=not first)
