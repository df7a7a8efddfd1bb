"""``python -m tests.chaos``: a campaign of faults on the real stack."""

import tempfile
from pathlib import Path

import click

from kafkajourney.command.options import common_options
from kafkajourney.command.running import main
from kafkajourney.errors import StopError
from kafkajourney.state import STATE_FOLDER
from tests.chaos import campaign
from tests.stack import Missing, real_stack
from tests.stack.given import GIVEN
from tests.stack.real import on_given_server


@click.command(name="tests.chaos")
@click.option("--events", type=click.IntRange(1), default=1_000_000, show_default=True, help="On the topic, at least.")
@click.option("--kills", type=click.IntRange(0), default=200, show_default=True, help="SIGKILLs, at least.")
@click.option("--seed", type=int, default=1, show_default=True, help="Of the choice of faults.")
@click.option("--pause", type=click.FloatRange(0), default=1.0, show_default=True, help="Seconds between faults.")
@click.option("--rate", type=click.FloatRange(0), default=2500, show_default=True, help="Events a second.")
@click.option("--brokers", type=click.Choice(["1", "3"]), default="1", show_default=True)
@click.option("--report", type=click.Path(path_type=Path), default=STATE_FOLDER / "chaos.json", show_default=True)
@common_options
def cli(events: int, kills: int, seed: int, pause: float, rate: float, brokers: str, report: Path) -> None:
    """Kill, freeze and cut off at random while events flow, then verify.

    The database is PostgreSQL's, or that of the server in KAFKAJOURNEY_TEST_DATABASE_URL, behind a proxy.
    Ends with 1 where anything is lost or doubled.
    """
    plan = campaign.Plan(events, kills, seed, pause, rate)
    logs = Path(tempfile.mkdtemp(prefix="kafkajourney-chaos-"))
    click.echo(f"logs are in {logs}")
    try:
        with (
            real_stack(STATE_FOLDER / "chaos", int(brokers), with_postgres=not GIVEN) as alone,
            on_given_server(alone, GIVEN) as stack,
        ):
            summary = campaign.run(stack, plan, logs, click.echo)
    except Missing as missing:
        raise StopError(str(missing)) from missing
    campaign.write(summary, report)
    click.echo(report.read_text(encoding="utf-8"))
    if not summary["verified"]:
        raise StopError(f"Events were lost, doubled or set aside: see {report} and the logs in {logs}.")


if __name__ == "__main__":
    main(cli, "KAFKAJOURNEY_CHAOS")
