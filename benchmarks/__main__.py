"""``python -m benchmarks [PART]...`` (``make bench``): measures parts on a real stack, writes results and the page."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from benchmarks import drain, latency, observed, produce, report, results, scale
from benchmarks.bench import Bench, tell
from benchmarks.peers import measure as peers
from kafkajourney.command.options import common_options
from kafkajourney.command.running import main
from kafkajourney.errors import StopError
from kafkajourney.state import STATE_FOLDER
from tests.stack import Missing, real_stack

RESULTS = Path("docs/reports/performance.json")
PARTS: dict[str, Callable[[Bench], list[dict[str, Any]]]] = {
    "drain": drain.measure,
    "peers": peers.measure,
    "produce": produce.measure,
    "latency": latency.measure,
    "scale": scale.measure,
    "observed": observed.measure,
    "growth": scale.measure_growth,
}
ALL = [part for part in PARTS if part != "growth"]


@click.command(name="benchmarks")
@click.argument("parts", nargs=-1, metavar="[PART]...", type=click.Choice([*PARTS, "all", "report"]))
@click.option("--events", type=click.IntRange(1000), default=500_000, show_default=True, help="In the backlog.")
@click.option("--repeat", type=click.IntRange(1), default=3, show_default=True, help="Repetitions, interleaved.")
@click.option(
    "--seconds", type=click.FloatRange(3), default=10.0, show_default=True, help="Of one repetition of latency."
)
@click.option("--output", type=click.Path(path_type=Path), default=RESULTS, show_default=True, help="Results as JSON.")
@common_options
def cli(parts: tuple[str, ...], output: Path, **options: Any) -> None:
    """Measure parts on a real stack: all but growth, unless some are named.

    growth drains a backlog of ten times the size as well. peers installs the peers below .kafkajourney. Each part puts
    its results in the place of its former ones; then the tables and the plot of docs/performance.md are written, unless
    --output names another file. report measures nothing and only writes those.
    """
    wanted = [part for part in parts if part != "report"] or ([] if parts else ["all"])
    measured = ALL if "all" in wanted else wanted
    if measured:
        _measure(measured, output, options)
    if output == RESULTS:
        report.write(results.read(output))


def _measure(parts: list[str], output: Path, options: dict[str, Any]) -> None:
    flags = " ".join(f"--{name} {value:g}" for name, value in options.items())
    on = results.machine()
    try:
        with real_stack(STATE_FOLDER / "bench", with_postgres=True) as stack:
            bench = Bench(stack, **options)
            on["PostgreSQL"] = bench.postgres_version()
            for part in parts:
                tell(f"== {part}")
                results.write(output, part, f"python -m benchmarks {part} {flags}", on, PARTS[part](bench))
    except Missing as missing:
        raise StopError(str(missing)) from missing


if __name__ == "__main__":
    main(cli, "KAFKAJOURNEY_BENCH")
