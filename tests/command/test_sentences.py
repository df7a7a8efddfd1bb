"""What users are told when something is wrong: one clear sentence, the right exit code, never a traceback."""

import socket
from collections.abc import Mapping
from pathlib import Path

import pytest

from kafkajourney.embedded.broker import embedded_broker
from kafkajourney.embedded.registry import RegistryServer
from kafkajourney.settings import ENVIRONMENT
from tests.support.processes import Commands

pytestmark = pytest.mark.stack

CONSUMER = ("consumers.journey", "--until-caught-up")
PRODUCER = ("producer", "--count", "1")


def refused(commands: Commands, *arguments: str, code: int = 1, variables: Mapping[str, str] | None = None) -> str:
    """Run a command that has to fail; return its one sentence."""
    output = commands.run(*arguments, code=code, variables=variables)
    errors = [line for line in output.splitlines() if line.startswith("Error:")]
    assert len(errors) == 1, output
    return errors[0]


def variable(setting: str, value: str) -> dict[str, str]:
    return {ENVIRONMENT[setting]: value}


def test_an_unreachable_registry(lone_commands: Commands) -> None:
    sentence = refused(lone_commands, *PRODUCER)
    assert "No schema registry answers at http://127.0.0.1:1" in sentence
    assert "kafkajourney up" in sentence


def test_a_database_that_was_not_migrated(lone_commands: Commands) -> None:
    (lone_commands.folder / "empty.db").touch()
    sentence = refused(lone_commands, *CONSUMER)
    assert "is at revision none" in sentence
    assert "python -m migrations upgrade" in sentence


def test_a_schema_that_was_not_registered(lone_commands: Commands) -> None:
    with RegistryServer() as registry:
        sentence = refused(lone_commands, *PRODUCER, variables=variable("schema_registry_url", registry.url))
    assert "is not registered" in sentence
    assert "python -m schemas register" in sentence


def test_an_unreachable_broker(lone_commands: Commands) -> None:
    with RegistryServer() as registry:
        there = variable("schema_registry_url", registry.url)
        lone_commands.run("schemas", "register", variables=there)
        lone_commands.run("migrations", "upgrade")
        sentence = refused(lone_commands, *PRODUCER, variables=there)
        assert "No Kafka broker answers at 127.0.0.1:1" in sentence
        assert "No Kafka broker answers at 127.0.0.1:1" in lone_commands.waits(*CONSUMER, variables=there)


def test_a_missing_topic(lone_commands: Commands) -> None:
    with RegistryServer() as registry, embedded_broker("another", 1) as broker:
        there = variable("schema_registry_url", registry.url) | variable("bootstrap_servers", broker)
        lone_commands.run("schemas", "register", variables=there)
        lone_commands.run("migrations", "upgrade")
        for command in (PRODUCER, CONSUMER):
            sentence = refused(lone_commands, *command, variables=there)
            assert "There is no topic 'user-journey'" in sentence
            assert "kafkajourney topic create" in sentence


def test_something_that_is_no_registry(lone_commands: Commands) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        running = lone_commands.start("schemas", "register", variables=variable("schema_registry_url", url))
        connection, _ = server.accept()
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 404 Not Found\r\ncontent-type: text/html\r\ncontent-length: 4\r\n\r\nnope")
        output = running.end(1)
        connection.close()
    assert "no schema registry" in output


@pytest.mark.parametrize(
    ("setting", "value", "words"),
    [
        ("database_url", "sqlserver", "The database URL is malformed"),
        ("database_url", "mysql://localhost/db", "'mysql' is not supported"),
        ("schema_registry_url", "localhost:8081", "is malformed"),
        ("bootstrap_servers", "http://a b", "is malformed"),
        ("topic", "no spaces", "is no topic name"),
    ],
)
def test_a_wrong_setting(lone_commands: Commands, setting: str, value: str, words: str) -> None:
    assert words in refused(lone_commands, *CONSUMER, code=2, variables=variable(setting, value))


def test_a_driver_that_is_not_installed(lone_commands: Commands) -> None:
    url = "mssql+pyodbc://sa:geheim@127.0.0.1:1/db?driver=No+Such+Driver"
    sentence = refused(lone_commands, "migrations", "upgrade", code=2, variables=variable("database_url", url))
    # Without unixODBC pyodbc itself cannot be loaded; with it, the driver is what is missing.
    assert "apt install unixodbc" in sentence or "'No Such Driver' is not installed" in sentence
    assert "geheim" not in sentence


def test_an_unreachable_database(lone_commands: Commands) -> None:
    url = "postgresql://127.0.0.1:1/journey"
    there = variable("database_url", url)
    assert "No database answers at" in refused(lone_commands, "migrations", "upgrade", variables=there)
    assert "No database answers at" in lone_commands.waits(*CONSUMER, variables=there)


def test_a_broken_settings_file(lone_commands: Commands) -> None:
    Path(lone_commands.folder, "kafkajourney.toml").write_text("topic = ")
    assert "kafkajourney.toml: cannot be read" in refused(lone_commands, *CONSUMER, code=2)
    Path(lone_commands.folder, "kafkajourney.toml").write_text('[kafka]\n"enable.auto.offset.store" = true')
    assert "enable.auto.offset.store = true is refused" in refused(lone_commands, *CONSUMER, code=2)


def test_a_wrong_option(lone_commands: Commands) -> None:
    output = lone_commands.run("producer", "--rate", "fast", code=2)
    assert "Invalid value for '--rate'" in output


def test_an_input_that_does_not_exist(lone_commands: Commands) -> None:
    assert "nothing.ndjson" in lone_commands.run("producer", "--input", "nothing.ndjson", code=2)


def test_a_revision_that_does_not_exist(lone_commands: Commands) -> None:
    assert "python -m migrations history" in refused(lone_commands, "migrations", "upgrade", "9999")


def test_a_traceback_only_with_debug(lone_commands: Commands) -> None:
    output = lone_commands.start("producer", "--count", "1", "--debug").end(1)
    assert "Traceback" in output
    assert "Error: No schema registry answers" in output
