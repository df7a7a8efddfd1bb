"""Processes that serve their metrics and health, and what they say."""

from collections.abc import Iterable, Mapping
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import text

from kafkajourney.database import engines
from kafkajourney.kafka import reading
from kafkajourney.settings import Settings
from tests.stack.server import HOST, free_port
from tests.support.processes import Commands
from tests.support.watched import Watched

Figures = Mapping[str, Mapping[tuple[str, ...], float]]
"""Values by the name of the sample, then by the values of its labels but the group's and the topic's."""


def figures(exposed: str) -> Figures:
    found: dict[str, dict[tuple[str, ...], float]] = {}
    for family in text_string_to_metric_families(exposed):
        for sample in family.samples:
            labels = tuple(value for name, value in sorted(sample.labels.items()) if name not in ("group", "topic"))
            found.setdefault(sample.name.removeprefix("kafkajourney_"), {})[labels] = sample.value
    return found


def collected(registry: CollectorRegistry) -> Figures:
    return figures(generate_latest(registry).decode())


class Observed(Watched):
    """A process that serves its metrics, with its log."""

    def __init__(self, commands: Commands, *arguments: str) -> None:
        self.port = free_port()
        super().__init__(commands.start(*arguments, "--metrics-port", str(self.port)))

    def get(self, path: str) -> tuple[int, str]:
        """Return status and body of a page; status 0 where nobody listens yet."""
        try:
            with urlopen(f"http://{HOST}:{self.port}{path}", timeout=10) as answer:
                return answer.status, answer.read().decode()
        except HTTPError as error:
            with error:
                return error.code, error.read().decode()
        except (URLError, ConnectionError) as error:
            return 0, str(error)

    @property
    def figures(self) -> Figures:
        status, exposed = self.get("/metrics")
        return figures(exposed) if status == 200 else {}

    def total(self, name: str) -> float:
        return sum(self.figures.get(name, {}).values())

    def is_ready(self) -> bool:
        return self.get("/readyz")[0] == 200

    def is_alive(self) -> bool:
        return self.get("/healthz") == (200, "ok\n")

    def is_held_up_by(self, part: str) -> bool:
        """Whether it is alive, and says that it is not ready because of this part."""
        status, reason = self.get("/readyz")
        assert self.is_alive()
        return status == 503 and f"the {part} " in reason and reason.count("\n") == 1

    def partitions(self) -> set[int]:
        return {int(partition) for (partition,) in self.figures.get("progress_offset", {})}


def lag_is_right(settings: Settings, progress: Mapping[int, int], members: Iterable[Observed]) -> bool:
    """Whether the lag of each partition is, to within one, its end by the broker less its progress."""
    told = {int(p): lag for member in members for (p,), lag in member.figures["lag_records"].items()}
    ends = reading.end_offsets(settings)
    return told.keys() == ends.keys() and all(abs(told[p] - (ends[p] - progress[p])) <= 1 for p in ends)


def stored_progress(settings: Settings, group: str = "journey") -> dict[int, int]:
    """Return how far the group is, by the database."""
    query = text('SELECT "partition", next_offset FROM consumer_progress WHERE consumer_group = :own')
    with engines.disposed(engines.engine(settings)) as engine, engine.connect() as connection:
        return {row[0]: row[1] for row in connection.execute(query, {"own": group})}
