"""The settings: which layer weighs more, what is refused and why, what never shows a secret, which stack is found."""

import fcntl
import itertools
import signal
import subprocess
import sys
import threading
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import URL

from kafkajourney.errors import SettingsError, StopError
from kafkajourney.kafka import clients
from kafkajourney.settings import DEFAULTS, ENVIRONMENT, TOML_FILE, Settings, load
from kafkajourney.settings.rules import OWN_PROPERTIES, PROMISED
from kafkajourney.state import STATE_FOLDER, claimed, running_stack

LAYERS = ("option", "environment", "dotenv", "toml", "stack")
"""The heaviest first; the default is below them all."""

VALUES = {
    "bootstrap_servers": "{}:9092",
    "schema_registry_url": "http://{}:8081",
    "database_url": "sqlite:///{}.db",
    "topic": "{}",
    "group_prefix": "{}-",
}

SUBSETS = [set(c) for size in range(len(LAYERS) + 1) for c in itertools.combinations(LAYERS, size)]


def settings(**values: Any) -> Settings:
    return Settings(**{**DEFAULTS, **values})


def toml(folder: Path, text: str) -> Path:
    (folder / TOML_FILE).write_text(text, encoding="utf-8")
    return folder


@contextmanager
def layers(folder: Path, present: Collection[str], name: str) -> Iterator[Settings]:
    """Yield the settings where each of these layers has a value of its own for this setting."""
    folder.mkdir()
    with ExitStack() as stack:
        if "stack" in present:
            stack.enter_context(claimed(folder / STATE_FOLDER))({name: VALUES[name].format("stack")})
        if "toml" in present:
            toml(folder, f'{name} = "{VALUES[name].format("toml")}"')
        if "dotenv" in present:
            (folder / ".env").write_text(f"{ENVIRONMENT[name]}={VALUES[name].format('dotenv')}")
        environ = {ENVIRONMENT[name]: VALUES[name].format("environment")} if "environment" in present else {}
        options = {name: VALUES[name].format("option") if "option" in present else None}
        yield load(options, environ, folder)


@pytest.mark.parametrize("name", DEFAULTS)
def test_the_heaviest_layer_that_has_a_value_decides(tmp_path: Path, name: str) -> None:
    for number, present in enumerate(SUBSETS):
        heaviest = next((layer for layer in LAYERS if layer in present), None)
        with layers(tmp_path / str(number), present, name) as loaded:
            expected = VALUES[name].format(heaviest) if heaviest else DEFAULTS[name]
            assert getattr(loaded, name) == expected, present


def test_each_setting_is_decided_by_itself(tmp_path: Path) -> None:
    toml(tmp_path, 'topic = "toml"\nbootstrap_servers = "toml:1"')
    (tmp_path / ".env").write_text("KAFKAJOURNEY_TOPIC=dotenv\nKAFKAJOURNEY_DATABASE_URL=sqlite:///dotenv.db")
    environ = {"KAFKAJOURNEY_DATABASE_URL": "sqlite:///environment.db", "TOPIC": "other"}
    loaded = load({"bootstrap_servers": None}, environ, tmp_path)
    assert loaded == Settings("toml:1", DEFAULTS["schema_registry_url"], "sqlite:///environment.db", "dotenv")


def test_an_empty_variable_counts_as_not_set(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("KAFKAJOURNEY_TOPIC=\nKAFKAJOURNEY_BOOTSTRAP_SERVERS")
    assert load({}, {"KAFKAJOURNEY_TOPIC": ""}, tmp_path) == settings()


def test_a_variable_of_the_env_file_may_be_made_of_others(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(
        "MSSQL_SA_PASSWORD=word\nKAFKAJOURNEY_DATABASE_URL=mssql://sa:${MSSQL_SA_PASSWORD}@h/d"
    )
    assert load({}, {}, tmp_path).database_url == "mssql://sa:word@h/d"


def test_settings_know_whether_the_broker_is_the_embedded_one(tmp_path: Path) -> None:
    with claimed(tmp_path / STATE_FOLDER) as publish:
        publish({"bootstrap_servers": "127.0.0.1:5", "kind": "real"})
        assert not load({}, {}, tmp_path).embedded
    with claimed(tmp_path / STATE_FOLDER) as publish:
        publish({"bootstrap_servers": "127.0.0.1:5", "kind": "embedded"})
        assert load({}, {}, tmp_path).embedded
        assert not load({"bootstrap_servers": "other:5"}, {}, tmp_path).embedded
    assert not load({}, {}, tmp_path).embedded


# --- malformed values ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("bootstrap_servers", "", "Kafka address '' is malformed. Write host:port"),
        ("bootstrap_servers", "host:port", "Kafka address 'host:port' is malformed"),
        ("bootstrap_servers", "host:", "Kafka address 'host:' is malformed"),
        ("bootstrap_servers", "a b:9092", "Kafka address 'a b:9092' is malformed"),
        ("bootstrap_servers", "host:9092,", "Kafka address '' is malformed"),
        ("bootstrap_servers", "one:9092, two:x", "Kafka address 'two:x' is malformed"),
        ("bootstrap_servers", "host:9092/path", "Kafka address 'host:9092/path' is malformed"),
        ("schema_registry_url", "localhost:8081", "Registry URL 'localhost:8081' is malformed. Write http://host:port"),
        ("schema_registry_url", "ftp://host", "Registry URL 'ftp://host' is malformed"),
        ("schema_registry_url", "http://", "Registry URL 'http://' is malformed"),
        ("schema_registry_url", "http://one:1,two:2", "Registry URL 'http://one:1,two:2' is malformed"),
        ("topic", "", "Topic '' is no topic name"),
        ("topic", "a topic", "Topic 'a topic' is no topic name: up to 249 letters, digits"),
        ("topic", "t" * 250, "is no topic name"),
        ("topic", "..", "Topic '..' is no topic name"),
        ("topic", "straße", "Topic 'straße' is no topic name"),
        ("database_url", "journey.db", "The database URL is malformed. Write dialect+driver://user:password@host:port"),
        ("database_url", "mssql://sa:pw@host:port/db", "The database URL is malformed"),
        ("database_url", "oracle://u:pw@host/db", "Database 'oracle' is not supported. Supported are: mssql"),
    ],
)
def test_a_malformed_value_is_refused_with_a_sentence(tmp_path: Path, name: str, value: str, words: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load({name: value}, {}, tmp_path)
    assert words in str(caught.value)
    assert "pw" not in str(caught.value).replace("user:password", "")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("bootstrap_servers", "host"),
        ("bootstrap_servers", "one:9092, two:9093"),
        ("bootstrap_servers", "SASL_SSL://one:9092"),
        ("bootstrap_servers", "[::1]:9092"),
        ("schema_registry_url", "https://user:word@host/path"),
        ("schema_registry_url", "http://one:1,http://two:2"),
        ("topic", "t" * 249),
        ("topic", "..."),
        ("topic", "a.b_c-D9"),
        ("database_url", "sqlite:///journey.db"),
        ("database_url", "mssql+pyodbc:///?odbc_connect=DRIVER%3DX"),
    ],
)
def test_a_well_formed_value_is_taken_as_it_is(tmp_path: Path, name: str, value: str) -> None:
    assert getattr(load({name: value}, {}, tmp_path), name) == value


def test_a_registry_url_with_half_a_bracket_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="is malformed"):
        load({"schema_registry_url": "http://[::1:8081"}, {}, tmp_path)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("schema_registry_url", "http://host:port"),
        ("schema_registry_url", "http://h:99999"),
        ("bootstrap_servers", "h:99999"),
    ],
)
def test_a_port_that_is_none_is_refused(tmp_path: Path, name: str, value: str) -> None:
    with pytest.raises(SettingsError, match="is malformed"):
        load({name: value}, {}, tmp_path)


def test_an_env_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"KAFKAJOURNEY_TOPIC=\xff\xfe\n")
    with pytest.raises(SettingsError, match=r"\.env"):
        load({}, {}, tmp_path)


# --- kafkajourney.toml -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("topic = ", "kafkajourney.toml: cannot be read: Invalid value"),
        ('topics = "t"\nkafka_ = 1', "kafkajourney.toml: unknown kafka_, topics. Known are: bootstrap_servers"),
        ("[kafkajourney]\ntopic = 't'", "unknown kafkajourney. Known are: "),
        ("kafka = 'localhost:9092'", "kafka has to be a table: [kafka], then one property a line"),
        ("[[kafka]]\nacks = 'all'", "kafka has to be a table: [kafka]"),
        ("schema_registry = 'http://h'", "schema_registry has to be a table: [schema_registry]"),
        ("bootstrap_servers = ['one:1', 'two:2']", "bootstrap_servers has to be text in quotes"),
    ],
)
def test_a_malformed_toml_file_is_refused_with_a_sentence(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load({}, {}, toml(tmp_path, text))
    assert words in str(caught.value)


def test_a_toml_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / TOML_FILE).write_bytes(b"topic = '\xff'")
    with pytest.raises(SettingsError, match=r"kafkajourney\.toml: cannot be read: 'utf-8' codec"):
        load({}, {}, tmp_path)
    (tmp_path / TOML_FILE).unlink()
    (tmp_path / TOML_FILE).mkdir()
    with pytest.raises(SettingsError, match=r"kafkajourney\.toml: cannot be read: .*directory"):
        load({}, {}, tmp_path)


def test_the_tables_are_passed_on_with_kafkas_values_as_librdkafka_writes_them(tmp_path: Path) -> None:
    text = """
        [kafka]
        "socket.keepalive.enable" = true
        "log.connection.close" = false
        "session.timeout.ms" = 6000
        "sasl.username" = "True"
        [schema_registry]
        "timeout" = 3.5
        "basic.auth.user.info" = "u:p"
    """
    loaded = load({}, {}, toml(tmp_path, text))
    assert loaded.kafka == {
        "socket.keepalive.enable": "true",
        "log.connection.close": "false",
        "session.timeout.ms": "6000",
        "sasl.username": "True",
    }
    assert loaded.schema_registry == {"timeout": 3.5, "basic.auth.user.info": "u:p"}


def test_properties_may_be_written_without_quotes(tmp_path: Path) -> None:
    text = "[kafka]\nsecurity.protocol = 'SSL'\n[schema_registry]\nbasic.auth.user.info = 'u:p'"
    loaded = load({}, {}, toml(tmp_path, text))
    assert loaded.kafka == {"security.protocol": "SSL"}
    assert loaded.schema_registry == {"basic.auth.user.info": "u:p"}


# --- the promise -----------------------------------------------------------------------------------------------------

BROKEN = {
    "check.crcs": "false",
    "isolation.level": "'read_uncommitted'",
    "enable.auto.offset.store": "true",
    "enable.auto.commit": "false",
    "enable.partition.eof": "false",
    "auto.offset.reset": "'earliest'",
    "enable.idempotence": "false",
    "acks": "1",
}


def test_every_promised_property_is_tested() -> None:
    assert BROKEN.keys() == PROMISED.keys()


@pytest.mark.parametrize("name", PROMISED)
def test_a_property_that_breaks_the_promise_is_refused_with_the_reason(tmp_path: Path, name: str) -> None:
    promised, reason = PROMISED[name]
    with pytest.raises(SettingsError) as caught:
        load({}, {}, toml(tmp_path, f'[kafka]\n"{name}" = {BROKEN[name]}'))
    assert f"[kafka] {name} = {BROKEN[name].strip(chr(39))} is refused: {reason}" in str(caught.value)
    assert f"Leave it out (it is {promised})" in str(caught.value)


@pytest.mark.parametrize("name", PROMISED)
def test_a_promised_property_may_be_set_to_what_it_is(tmp_path: Path, name: str) -> None:
    promised, _ = PROMISED[name]
    for value in [f"'{promised}'", f"'{promised.upper()}'", *([promised] if promised in ("true", "false") else [])]:
        assert load({}, {}, toml(tmp_path, f'[kafka]\n"{name}" = {value}')).kafka[name].lower() == promised


def test_all_replicas_may_be_written_as_minus_one(tmp_path: Path) -> None:
    assert load({}, {}, toml(tmp_path, "[kafka]\nacks = -1")).kafka == {"acks": "-1"}


@pytest.mark.parametrize("name", OWN_PROPERTIES)
def test_a_property_that_a_setting_of_this_project_stands_for_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load({}, {}, toml(tmp_path, f'[kafka]\n"{name}" = "x"'))
    assert f"[kafka] {name} is refused: {OWN_PROPERTIES[name]}" in str(caught.value)


@pytest.mark.parametrize("line", ["'metadata.broker.list' = 'other:9092'", "'request.required.acks' = 0"])
def test_the_other_name_of_a_refused_property_is_refused_too(tmp_path: Path, line: str) -> None:
    with pytest.raises(SettingsError, match="is refused"):
        load({}, {}, toml(tmp_path, f"[kafka]\n{line}"))


def test_a_property_that_breaks_the_promise_is_refused_without_quotes_too(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="is refused"):
        load({}, {}, toml(tmp_path, "[kafka]\nenable.auto.offset.store = true"))


def test_the_registrys_url_in_its_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="schema_registry_url"):
        load({}, {}, toml(tmp_path, "[schema_registry]\nurl = 'http://other:1'"))


def test_a_property_that_librdkafka_does_not_know_is_a_wrong_setting() -> None:
    with pytest.raises(SettingsError, match=r"\[kafka\].*security\.protokol"):
        clients.producer(settings(kafka={"security.protokol": "SSL"}))


# --- secrets ---------------------------------------------------------------------------------------------------------

ODBC = "DRIVER=X;SERVER=h;UID=sa;{}={};Encrypt=no"


def odbc_url(password: str, key: str = "PWD") -> str:
    return f"mssql+pyodbc:///?odbc_connect={quote_plus(ODBC.format(key, password))}"


@given(st.text(min_size=1))
def test_the_databases_password_is_masked_however_it_is_written(password: str) -> None:
    plain = URL.create("mssql+pyodbc", "sa", password, "host", 1433, "journey", {"driver": "X"})
    shown = settings(database_url=plain.render_as_string(hide_password=False)).safe_database_url
    assert shown == "mssql+pyodbc://sa:***@host:1433/journey?driver=X"


@pytest.mark.parametrize("key", ["PWD", "Pwd", "pwd", "Password"])
def test_the_password_of_an_odbc_connection_string_is_masked(key: str) -> None:
    shown = settings(database_url=odbc_url("s3cret", key)).safe_database_url
    assert "s3cret" not in shown
    assert "UID%3Dsa" in shown
    assert "Encrypt%3Dno" in shown


def test_a_password_among_the_urls_parameters_is_masked() -> None:
    shown = settings(database_url="mssql+pyodbc://host/db?driver=X&PWD=s3cret&Encrypt=no").safe_database_url
    assert "s3cret" not in shown
    assert "Encrypt=no" in shown


@pytest.mark.parametrize("password", ["p@s3cret", "100%s3cret", "{;s3cret}", "a&s3cret"])
def test_the_password_of_an_odbc_connection_string_is_masked_with_all_its_special_characters(password: str) -> None:
    assert "s3cret" not in settings(database_url=odbc_url(password)).safe_database_url


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://host:8081", "http://host:8081"),
        ("http://user:word@host:8081/p", "http://***@host:8081/p"),
        ("http://u:word@one:1,https://v:word@two:2", "http://***@one:1,https://***@two:2"),
    ],
)
def test_the_registrys_user_and_password_are_masked(url: str, shown: str) -> None:
    assert settings(schema_registry_url=url).safe_schema_registry_url == shown


@pytest.mark.parametrize("url", ["http://u:a@s3cret@h:1", "http://u:a/s3cret@h:1", "u:s3cret@h:1"])
def test_the_registrys_password_is_masked_where_the_url_is_malformed_too(url: str) -> None:
    assert "s3cret" not in settings(schema_registry_url=url).safe_schema_registry_url


def test_the_settings_print_no_secret() -> None:
    full = settings(
        database_url="mssql://sa:s3cret@h/d",
        schema_registry_url="http://u:s3cret@h",
        kafka={"sasl.password": "s3cret"},
        schema_registry={"basic.auth.user.info": "u:s3cret"},
    )
    assert "s3cret" not in f"{full!r} {full}"
    assert "localhost:9092" in repr(full)


# --- the running embedded stack --------------------------------------------------------------------------------------


def test_a_claimed_folder_is_found_as_long_as_it_is_claimed(tmp_path: Path) -> None:
    assert running_stack(tmp_path / "new") is None
    with claimed(tmp_path / "new") as publish:
        assert running_stack(tmp_path / "new") is None  # claimed, but not yet ready
        publish({"topic": "t"})
        assert running_stack(tmp_path / "new") == {"topic": "t"}
    assert running_stack(tmp_path / "new") is None


def test_a_second_claim_is_refused_and_harms_nothing(tmp_path: Path) -> None:
    with claimed(tmp_path) as publish:
        publish({"topic": "t"})
        with pytest.raises(StopError, match=r"already runs .*end it with Ctrl-C"), claimed(tmp_path):
            pass
        assert running_stack(tmp_path) == {"topic": "t"}
    with claimed(tmp_path) as publish:
        publish({"topic": "u"})
        assert running_stack(tmp_path) == {"topic": "u"}


def test_a_claim_ends_with_an_error_too(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="not JSON serializable"), claimed(tmp_path) as publish:
        publish({"topic": object()})  # type: ignore[dict-item]
    assert running_stack(tmp_path) is None


@pytest.mark.parametrize("left", ['{"topic": "t"}', "", "{", "\xff"])
def test_a_file_that_nobody_holds_is_no_stack(tmp_path: Path, left: str) -> None:
    (tmp_path / "stack.json").write_text(left, encoding="latin-1")
    assert running_stack(tmp_path) is None
    with claimed(tmp_path) as publish:
        publish({"topic": "new"})
        assert running_stack(tmp_path) == {"topic": "new"}


OWNER = """
import sys
from pathlib import Path
from kafkajourney.state import claimed
with claimed(Path(sys.argv[1])) as publish:
    publish({"topic": "t"})
    print("ready", flush=True)
    sys.stdin.read()
"""


@pytest.mark.stack
@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM])
def test_a_stack_that_was_killed_is_not_found(tmp_path: Path, end: signal.Signals) -> None:
    command = [sys.executable, "-c", OWNER, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as owner:
        try:
            assert owner.stdout is not None
            assert owner.stdout.readline() == "ready\n"
            assert running_stack(tmp_path) == {"topic": "t"}
            with pytest.raises(StopError, match="already runs"), claimed(tmp_path):
                pass
        finally:
            owner.send_signal(end)
        assert owner.wait(timeout=10) == -end
    assert (tmp_path / "stack.json").read_text() == '{\n  "topic": "t"\n}'
    assert running_stack(tmp_path) is None
    with claimed(tmp_path):
        pass


def test_a_command_that_looks_for_a_stack_does_not_keep_one_from_starting(tmp_path: Path) -> None:
    with (tmp_path / "stack.json").open("w") as reader:
        fcntl.flock(reader, fcntl.LOCK_SH)  # what running_stack does, for as long as it takes to look
        timer = threading.Timer(0.05, lambda: fcntl.flock(reader, fcntl.LOCK_UN))
        timer.start()
        try:
            with claimed(tmp_path):
                pass
        finally:
            timer.join()
