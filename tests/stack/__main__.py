"""The real stack by hand: ``python -m tests.stack``."""

import shlex
import subprocess
import time

import click

from kafkajourney.command.options import common_options
from kafkajourney.command.running import main
from kafkajourney.embedded.stack import addresses, environment
from kafkajourney.errors import StopError
from kafkajourney.settings import DEFAULTS, ENVIRONMENT
from kafkajourney.state import STATE_FOLDER, claimed
from tests.stack.download import Missing, java, java_serdes, kafka_libraries, registry_home
from tests.stack.real import RealStack, real_stack

FOLDER = STATE_FOLDER / "real"


@click.command(name="tests.stack")
@click.option("--brokers", type=click.Choice(["1", "3"]), default="1", show_default=True, help="Kafka nodes.")
@click.option("--postgres", is_flag=True, help="Start PostgreSQL too and use it as the database.")
@click.option("--topic", default=DEFAULTS["topic"], show_default=True, help="Topic of the events.")
@click.option("--download", is_flag=True, help="Only download what is not in the cache yet.")
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
@common_options
def cli(brokers: str, postgres: bool, topic: str, download: bool, command: tuple[str, ...]) -> int:  # noqa: FBT001 # click calls it
    """Run real Kafka and a real registry until Ctrl-C; commands in this folder find them.

    With a COMMAND, run it with the settings of the stack, then end with its exit code.
    """
    try:
        if download:
            return _download()
        with (
            claimed(STATE_FOLDER) as publish,
            real_stack(FOLDER, int(brokers), with_postgres=postgres, topic=topic) as stack,
        ):
            publish(addresses(stack.settings))
            return _run(stack, command) if command else _stay(stack)
    except Missing as missing:
        raise StopError(str(missing)) from missing


def _download() -> int:
    java()
    for folder in (kafka_libraries(), registry_home(), java_serdes()):
        click.echo(folder)
    return 0


def _run(stack: RealStack, command: tuple[str, ...]) -> int:
    code = subprocess.run(command, env=environment(stack.settings), check=False).returncode
    return code if code >= 0 else 128 - code  # as a shell tells the signal


def _stay(stack: RealStack) -> int:
    for name, value in addresses(stack.settings).items():
        click.echo(f"export {ENVIRONMENT[name]}={shlex.quote(value)}")
    if stack.postgres is not None and stack.settings.database_url != stack.postgres.url():
        click.echo(f"# PostgreSQL, which the settings do not take yet: {stack.postgres.url()}")
    for server in stack.servers:
        click.echo(f"# {server.name}: pid {server.pid}, log {server.log}")
    click.echo("# The stack runs; commands in this folder find it. Ctrl-C ends it.")
    while True:
        for server in stack.servers:
            if server.pid is None:
                raise StopError(f"{server.name} has ended. {server.last_lines()}")
        time.sleep(0.5)


if __name__ == "__main__":
    main(cli, "KAFKAJOURNEY_STACK")
