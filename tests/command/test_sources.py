"""Where settings come from: properties and secrets from the environment, slips, Kubernetes, a stack used whole."""

from pathlib import Path

import pytest

from kafkajourney.control import doctor
from kafkajourney.database import engines
from kafkajourney.embedded.stack import environment
from kafkajourney.errors import KafkaJourneyError, SettingsError
from kafkajourney.settings import DEFAULTS, ENVIRONMENT, TOML_FILE, Settings, load, variables
from kafkajourney.settings.masking import masked
from kafkajourney.state import STATE_FOLDER, claimed
from tests.support.processes import Commands

STACK = {
    "bootstrap_servers": "127.0.0.1:5",
    "schema_registry_url": "http://127.0.0.1:6",
    "database_url": "sqlite:///a.db",
}
OTHER = {"bootstrap_servers": "h:1", "schema_registry_url": "http://h:2", "database_url": "sqlite:///b.db"}


def sources(loaded: Settings) -> dict[str, str]:
    return {name: source for name, source in loaded.sources.items() if source != "the default"}


# --- properties ------------------------------------------------------------------------------------------------------


def test_properties_come_from_the_environment_and_weigh_more_than_the_file(tmp_path: Path) -> None:
    (tmp_path / TOML_FILE).write_text("[kafka]\nsasl.password = 'file'\nsasl.username = 'file'\n")
    (tmp_path / ".env").write_text(
        "KAFKAJOURNEY_KAFKA__SASL__PASSWORD=dotenv\nKAFKAJOURNEY_KAFKA__SASL__MECHANISM=PLAIN"
    )
    environ = {"KAFKAJOURNEY_KAFKA__SASL__PASSWORD": "word", "KAFKAJOURNEY_SCHEMA_REGISTRY__TIMEOUT": "3.5"}
    environ["KAFKAJOURNEY_SCHEMA_REGISTRY__BASIC__AUTH__USER__INFO"] = "1:2"
    loaded = load({}, environ, tmp_path)
    assert loaded.kafka == {"sasl.password": "word", "sasl.username": "file", "sasl.mechanism": "PLAIN"}
    assert loaded.schema_registry == {"timeout": 3.5, "basic.auth.user.info": "1:2"}
    assert sources(loaded) == {
        "kafka sasl.password": "KAFKAJOURNEY_KAFKA__SASL__PASSWORD",
        "kafka sasl.username": "kafkajourney.toml: [kafka] sasl.username",
        "kafka sasl.mechanism": "KAFKAJOURNEY_KAFKA__SASL__MECHANISM",
        "schema_registry timeout": "KAFKAJOURNEY_SCHEMA_REGISTRY__TIMEOUT",
        "schema_registry basic.auth.user.info": "KAFKAJOURNEY_SCHEMA_REGISTRY__BASIC__AUTH__USER__INFO",
    }


def test_a_promise_holds_whatever_the_place_and_the_sentence_names_it(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"^KAFKAJOURNEY_KAFKA__ACKS = 1 is refused"):
        load({}, {"KAFKAJOURNEY_KAFKA__ACKS": "1"}, tmp_path)
    with pytest.raises(SettingsError, match=r"^KAFKAJOURNEY_KAFKA__REQUEST__REQUIRED__ACKS = 1 is refused"):
        load({}, {"KAFKAJOURNEY_KAFKA__REQUEST__REQUIRED__ACKS": "1"}, tmp_path)


def test_a_value_may_be_in_a_file_that_a_variable_names(tmp_path: Path) -> None:
    (tmp_path / "url").write_text("sqlite:///of-the-file.db\n")
    (tmp_path / "password").write_text("wörd \n")
    environ = {"KAFKAJOURNEY_DATABASE_URL_FILE": "url"}
    environ["KAFKAJOURNEY_KAFKA__SASL__PASSWORD_FILE"] = str(tmp_path / "password")
    loaded = load({}, environ, tmp_path)
    assert loaded.database_url == "sqlite:///of-the-file.db"
    assert loaded.kafka == {"sasl.password": "wörd "}
    with pytest.raises(SettingsError, match="DATABASE_URL and KAFKAJOURNEY_DATABASE_URL_FILE are both set"):
        load({}, environ | {"KAFKAJOURNEY_DATABASE_URL": "sqlite:///x.db"}, tmp_path)
    with pytest.raises(SettingsError, match=r"^KAFKAJOURNEY_TOPIC_FILE: absent cannot be read: .*No such file"):
        load({}, {"KAFKAJOURNEY_TOPIC_FILE": "absent"}, tmp_path)


# --- slips, and Kubernetes -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("KAFKAJOURNEY_DATABASE_URI", "KAFKAJOURNEY_DATABASE_URL"),
        ("KAFKAJOURNEY_TOPICS", "KAFKAJOURNEY_TOPIC"),
        ("KAFKAJOURNEY_BOOSTRAP_SERVERS_FILE", "KAFKAJOURNEY_BOOTSTRAP_SERVERS"),
        ("KAFKAJOURNEY_JOURNEY_RETRES", "KAFKAJOURNEY_JOURNEY_RETRIES"),
        ("KAFKAJOURNEY_KAFKA_SASL_PASSWORD", "KAFKAJOURNEY_KAFKA__SASL__PASSWORD"),
    ],
)
def test_a_slip_is_refused_with_the_name_that_is_meant(name: str, meant: str) -> None:
    with pytest.raises(SettingsError, match=f"^{name} is no setting.* {meant} meant"):
        list(variables.unknown([name], ["KAFKAJOURNEY_JOURNEY_RETRIES"], "KAFKAJOURNEY_JOURNEY", ["journey"]))


def test_what_nothing_reads_is_told_and_what_is_another_commands_is_not() -> None:
    names = ["KAFKAJOURNEY_COLOUR", "KAFKAJOURNEY_SEARCHES_RETRIES", "KAFKAJOURNEY_PRODUCER_RATE", "PATH"]
    assert list(variables.unknown(names, [], groups=["searches"])) == ["KAFKAJOURNEY_COLOUR"]
    assert list(variables.unknown([*names, *ENVIRONMENT.values()], [])) == names[:2]


def test_an_option_of_a_group_with_a_similar_name_is_no_slip() -> None:
    found = variables.unknown(["KAFKAJOURNEY_US_RATE"], ["KAFKAJOURNEY_EU_RATE"], "KAFKAJOURNEY_EU", ["eu", "us"])
    assert list(found) == []


def test_an_empty_prefix_takes_away_what_another_layer_says(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("KAFKAJOURNEY_GROUP_PREFIX=eu-")
    assert load({}, {}, tmp_path).group_prefix == "eu-"
    assert load({}, {"KAFKAJOURNEY_GROUP_PREFIX": ""}, tmp_path).group_prefix == ""


def test_processes_that_are_given_a_value_are_not_given_a_file_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKAJOURNEY_DATABASE_URL_FILE", "url")
    found = environment(Settings("h:1", "http://h:1", "sqlite:///a.db", "t"))
    assert found["KAFKAJOURNEY_DATABASE_URL"] == "sqlite:///a.db"
    assert "KAFKAJOURNEY_DATABASE_URL_FILE" not in found


@pytest.mark.stack
def test_a_command_tells_of_a_variable_that_nothing_reads_and_ends_for_a_slip(lone_commands: Commands) -> None:
    said = lone_commands.run("migrations", "upgrade", variables={"KAFKAJOURNEY_COLOUR": "red"})
    assert "KAFKAJOURNEY_COLOUR is no setting, and is not used" in said
    said = lone_commands.run("migrations", "upgrade", code=2, variables={"KAFKAJOURNEY_TOPICS": "t"})
    assert "KAFKAJOURNEY_TOPICS is no setting. Is KAFKAJOURNEY_TOPIC meant?" in said


KUBERNETES = {
    "KAFKAJOURNEY_SERVICE_HOST": "10.0.0.1",
    "KAFKAJOURNEY_SERVICE_PORT": "80",
    "KAFKAJOURNEY_SERVICE_PORT_HTTP": "80",
    "KAFKAJOURNEY_PORT": "tcp://10.0.0.1:80",
    "KAFKAJOURNEY_PORT_80_TCP": "tcp://10.0.0.1:80",
    "KAFKAJOURNEY_PORT_80_TCP_ADDR": "10.0.0.1",
    "KAFKAJOURNEY_METRICS_PORT": "tcp://10.0.0.2:9000",
}


def test_what_kubernetes_injects_is_known() -> None:
    own = {"KAFKAJOURNEY_METRICS_PORT": "9000", "KAFKAJOURNEY_TOPIC": "tcp://t", "OTHER_SERVICE_HOST": "10.0.0.1"}
    assert variables.injected(KUBERNETES) == list(KUBERNETES)
    assert variables.injected(own) == []


@pytest.mark.stack
def test_no_option_takes_what_kubernetes_injects(lone_commands: Commands) -> None:
    lone_commands.run("migrations", "upgrade")
    assert "Error" not in lone_commands.waits("consumers.journey", variables=KUBERNETES)


# --- a stack is used whole or not at all -----------------------------------------------------------------------------


def test_a_running_stack_is_used_whole_or_not_at_all(tmp_path: Path) -> None:
    with claimed(tmp_path / STATE_FOLDER) as publish:
        publish(STACK | {"kind": "embedded", "topic": "t"})
        assert load({}, {}, tmp_path).database_url == STACK["database_url"]
        assert load(OTHER, {}, tmp_path).database_url == OTHER["database_url"]
        assert load(dict(STACK), {}, tmp_path).embedded  # the same again is no other
        assert load({"topic": "another"}, {}, tmp_path).topic == "another"
        (tmp_path / ".env").write_text(f"KAFKAJOURNEY_DATABASE_URL={OTHER['database_url']}")
        with pytest.raises(SettingsError) as caught:
            load({}, {}, tmp_path)
        assert str(caught.value) == (
            "An embedded stack runs in this folder, and another database_url (.env) is set: a part of each would be "
            "used. Take that away, or end the stack (Ctrl-C), or set bootstrap_servers, schema_registry_url as well."
        )
        # A command that uses the database alone has a part that is whole.
        assert load({}, {}, tmp_path, ["database_url"]).database_url == OTHER["database_url"]


# --- what is told ----------------------------------------------------------------------------------------------------


def test_where_nothing_is_set_and_nothing_runs_that_is_said_first(tmp_path: Path) -> None:
    hint = "No embedded stack runs in this folder (kafkajourney up starts one), and nothing sets database_url. "
    assert load({}, {}, tmp_path).hint("database_url") == hint
    assert load({"database_url": DEFAULTS["database_url"]}, {}, tmp_path).hint("database_url") == ""


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("sslpassword", "SECRET1", "***"),
        ("access_token", "x", "***"),
        ("client_secret", "x", "***"),
        ("sslkey", "/a/b.key", "***"),
        ("ssl.key.location", "/a/b.key", "/a/b.key"),
        ("sslmode", "require", "require"),
        ("odbc_connect", "DRIVER=X;UID=sa;Password={a;b}}c};Encrypt=no", "DRIVER=X;UID=sa;Password=***;Encrypt=no"),
        ("odbc_connect", "DRIVER=X;PWD=word", "DRIVER=X;PWD=***"),
    ],
)
def test_a_secret_is_masked_by_its_name(name: str, value: str, shown: str) -> None:
    assert masked(name, value) == shown


def test_the_doctor_shows_each_setting_with_where_it_comes_from(tmp_path: Path) -> None:
    (tmp_path / TOML_FILE).write_text("[kafka]\nsasl.password = 'word'\n[schema_registry]\ntimeout = 3\n")
    loaded = load({"topic": "mine"}, {"KAFKAJOURNEY_BOOTSTRAP_SERVERS": "127.0.0.1:1"}, tmp_path)
    shown = [finding.text for finding in doctor.settings_shown(loaded)]
    query = "TrustServerCertificate=yes&driver=ODBC+Driver+18+for+SQL+Server"
    url = f"mssql+pyodbc://sa:***@localhost:1433/kafkajourney?{query}"
    move = "a secret: move it to KAFKAJOURNEY_KAFKA__SASL__PASSWORD in .env, which git ignores"
    assert shown == [
        "bootstrap_servers = 127.0.0.1:1 (KAFKAJOURNEY_BOOTSTRAP_SERVERS)",
        f"database_url = {url} (the default)",
        "group_prefix = none (the default)",
        f"sasl.password = *** (kafkajourney.toml: [kafka] sasl.password; {move})",
        "schema_registry_url = http://localhost:8081 (the default)",
        "timeout = 3 (kafkajourney.toml: [schema_registry] timeout)",
        "topic = mine (the command line)",
    ]


# --- databases that are none -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("sqlite://", "A SQLite database in memory is gone with each command. Name a file"),
        ("sqlite:///:memory:", "A SQLite database in memory is gone with each command"),
        ("sqlite:///absent.db", r"There is no database .*/absent\.db\. Make it \(python -m migrations upgrade\)"),
        ("sqlite:///absent/journey.db", "^There is no folder .*/absent for the database journey"),
        ("sqlite:///file:absent.db?uri=true", r"There is no database .*/absent\.db\. Make it"),
        ("postgresql+psycopg_async://u@h/d", "The driver of .* is asynchronous. Leave it out of the URL"),
        ("postgresql+asyncpg://u@h/d", "The driver for .* is not installed|is asynchronous"),
    ],
)
def test_what_is_no_database_is_one_sentence_and_makes_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str, sentence: str
) -> None:
    monkeypatch.chdir(tmp_path)
    found = Settings("h:1", "http://h:1", url, "t")
    with pytest.raises(KafkaJourneyError, match=sentence), engines.reached(found):
        engines.engine(found).connect()
    assert list(tmp_path.iterdir()) == []
