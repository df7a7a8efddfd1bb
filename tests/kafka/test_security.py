"""Security through ``kafkajourney.toml``: what works with the right credentials, and what is said with wrong ones."""

import json
import os
import ssl
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._scram import ScramCredentialInfo, ScramMechanism, UserScramCredentialUpsertion
from werkzeug.serving import WSGIRequestHandler, make_server
from werkzeug.wrappers import Request, Response

from kafkajourney.embedded.registry_app import RegistryApp
from kafkajourney.embedded.registry_store import RegistryStore
from kafkajourney.settings import TOML_FILE
from tests.stack import Missing
from tests.stack.kafka import Kafka, kafka
from tests.stack.server import HOST
from tests.support.certificates import Authority
from tests.support.processes import Commands, end_all, missing_part

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

pytestmark = pytest.mark.stack

USER = "ada"
SECRET = "geheim"
"""A part of every password here, the right ones and the wrong ones."""

PASSWORD = f"right-{SECRET}"
KEY_PASSWORD = f"key-{SECRET}"
BOUND = 30.0
"""Seconds within which a command has to say what is wrong."""

TLS, SASL = "SSL", "SASL_SSL"
COMMANDS = (("producer", "--count", "1"), ("consumers.journey", "--until-caught-up"), ("kafkajourney", "doctor"))
DOCTOR = COMMANDS[-1]
DEPLOYMENT = (("kafkajourney", "topic", "create"), ("schemas", "register"), ("migrations", "upgrade"))

Properties = Mapping[str, str]


@dataclass(frozen=True)
class Place:
    """What ``kafkajourney.toml`` says."""

    bootstrap_servers: str
    schema_registry_url: str
    database_url: str
    topic: str
    kafka: Properties
    schema_registry: Properties

    def write(self, folder: Path) -> None:
        tables = {"kafka": self.kafka, "schema_registry": self.schema_registry}
        lines = [f"{name} = {json.dumps(value)}" for name, value in vars(self).items() if name not in tables]
        for name, table in tables.items():
            lines += [f"[{name}]", *(f'"{key}" = {json.dumps(value)}' for key, value in table.items())]
        (folder / TOML_FILE).write_text("\n".join(lines), encoding="utf-8")


@dataclass(frozen=True)
class Secured:
    """A broker and a registry that want credentials, and who has them."""

    authority: Authority
    stranger: Authority
    cluster: Kafka
    registry_url: str
    folder: Path

    @property
    def mutual_tls(self) -> Properties:
        """Return the properties of a client with a certificate, its key encrypted."""
        own = str(self.folder / "client.pem")
        files = {"ssl.ca.location": str(self.authority.certificate), "ssl.certificate.location": own}
        return {"security.protocol": TLS, **files, "ssl.key.location": own, "ssl.key.password": KEY_PASSWORD}

    @property
    def scram(self) -> Properties:
        """Return the properties of a user with a password."""
        return {
            "security.protocol": SASL,
            "sasl.mechanism": "SCRAM-SHA-512",
            "sasl.username": USER,
            "sasl.password": PASSWORD,
            "ssl.ca.location": str(self.authority.certificate),
        }

    @property
    def basic_auth(self) -> Properties:
        """Return the properties of a client of the registry."""
        return {"basic.auth.user.info": f"{USER}:{PASSWORD}", "ssl.ca.location": str(self.authority.certificate)}

    def place(self, listener: str, kafka: Properties) -> Place:
        """Return settings for this listener of the broker and, with the right credentials, the registry."""
        database = f"sqlite:///{self.folder}/journey.db"
        return Place(self.cluster.addresses(listener), self.registry_url, database, "journey", kafka, self.basic_auth)


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    folder = tmp_path_factory.mktemp("secured")
    authority, stranger = Authority(folder, "authority"), Authority(folder, "stranger")
    server = authority.issue("server")
    authority.issue("client", KEY_PASSWORD)
    stranger.issue("intruder")
    listeners = {TLS: TLS, SASL: SASL}
    try:
        with kafka(folder, listeners=listeners, properties=broker_properties(authority, server)) as cluster:
            add_user(cluster)
            with guarded_registry(server) as url:
                made = Secured(authority, stranger, cluster, url, folder)
                deploy(made, folder)
                yield made
    except Missing as missing:
        missing_part(missing)


def broker_properties(authority: Authority, server: Path) -> Properties:
    return {
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(server),
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": str(authority.certificate),
        "listener.name.ssl.ssl.client.auth": "required",
        "listener.name.sasl_ssl.sasl.enabled.mechanisms": "SCRAM-SHA-512",
        "listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config": (
            "org.apache.kafka.common.security.scram.ScramLoginModule required;"
        ),
    }


def add_user(cluster: Kafka) -> None:
    admin = AdminClient({"bootstrap.servers": cluster.addresses()})
    hashed = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, 4096)
    upsertion = UserScramCredentialUpsertion(USER, hashed, PASSWORD.encode())
    for done in admin.alter_user_scram_credentials([upsertion]).values():
        done.result()


class Guard:
    """Lets those with the right password through to a registry, as a proxy in front of it would."""

    def __init__(self) -> None:
        self._app = RegistryApp(RegistryStore())

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        given = Request(environ).authorization
        if given is not None and (given.username, given.password) == (USER, PASSWORD):
            return self._app(environ, start_response)
        denied = Response("<h1>Unauthorized</h1>", 401, {"WWW-Authenticate": "Basic"}, content_type="text/html")
        return denied(environ, start_response)


class QuietHandler(WSGIRequestHandler):
    def log(self, *arguments: Any) -> None:
        """Write nothing."""


@contextmanager
def served(context: ssl.SSLContext) -> Iterator[str]:
    """Serve the guard behind TLS until the block ends; yield ``host:port``."""
    server = make_server(HOST, 0, Guard(), threaded=True, request_handler=QuietHandler, ssl_context=context)
    thread = Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"{HOST}:{server.port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def guarded_registry(certificate: Path) -> Iterator[str]:
    """Run a registry behind TLS and a password; yield its URL."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with served(context) as address:
        yield f"https://{address}"


def deploy(secured: Secured, folder: Path) -> None:
    """Make ready what the commands need that are refused later."""
    secured.place("PLAINTEXT", {}).write(folder)
    commands = Commands(folder, dict(os.environ))
    try:
        for command in DEPLOYMENT:
            commands.run(*command)
    finally:
        end_all(commands)


@pytest.fixture
def bare_commands(tmp_path: Path) -> Iterator[Commands]:
    """Commands that know what ``kafkajourney.toml`` in their folder says, and nothing else."""
    made = Commands(tmp_path, dict(os.environ))
    yield made
    end_all(made)


# --- right ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("listener", [TLS, SASL])
def test_with_the_right_credentials_everything_works(
    secured: Secured, bare_commands: Commands, tmp_path: Path, listener: str
) -> None:
    place = secured.place(listener, secured.mutual_tls if listener == TLS else secured.scram)
    replace(place, topic=listener, database_url=f"sqlite:///{tmp_path}/journey.db").write(tmp_path)
    for command in DEPLOYMENT:
        bare_commands.run(*command)
    assert "produced 200 events" in bare_commands.run("producer", "--rate", "0", "--count", "200")
    produce_poison(secured, listener)
    for group in ("journey", "analytic"):  # a dead letter is sent by a producer of its own
        assert "dead letter" in bare_commands.run(f"consumers.{group}", "--until-caught-up")
    assert "produced 201, stored 200, missing 0" in bare_commands.run("kafkajourney", "verify")
    output = bare_commands.run(*DOCTOR)
    assert output.count("✓") == 8
    assert SECRET not in output


def produce_poison(secured: Secured, topic: str) -> None:
    producer = Producer({"bootstrap.servers": secured.cluster.addresses()})
    producer.produce(topic, value=b"not avro", key=b"nobody")
    assert producer.flush(BOUND) == 0


# --- wrong ----------------------------------------------------------------------------------------------------------


def complaints(commands: Commands, code: int) -> list[str]:
    """Run all three commands, which have to fail in time; return the sentence of each."""
    began = time.monotonic()
    running = [commands.start(*command) for command in COMMANDS]
    # The doctor's own code is 1, whatever it finds.
    outputs = [ran.end(1 if command == DOCTOR else code) for ran, command in zip(running, COMMANDS, strict=True)]
    assert time.monotonic() - began < BOUND
    return [complaint(output) for output in outputs]


def complaint(output: str) -> str:
    """Return the one sentence that says what is wrong, the doctor's finding where it is the doctor's."""
    assert "Traceback" not in output
    assert SECRET not in output
    assert len([line for line in output.splitlines() if line.startswith("Error:")]) == 1, output
    found = [line for line in output.splitlines() if line.startswith(("Error:", "✗")) and "see above" not in line]
    assert len(found) == 1, output
    return found[0]


def without(properties: Properties, *names: str) -> Properties:
    return {name: value for name, value in properties.items() if name not in names}


def without_certificate(secured: Secured) -> Properties:
    return without(secured.mutual_tls, "ssl.certificate.location", "ssl.key.location", "ssl.key.password")


def with_strange_certificate(secured: Secured) -> Properties:
    own = str(secured.folder / "intruder.pem")
    return {**without_certificate(secured), "ssl.certificate.location": own, "ssl.key.location": own}


def with_strange_authority(properties: Properties, secured: Secured) -> Properties:
    return {**properties, "ssl.ca.location": str(secured.stranger.certificate)}


NO_PASSAGE = "refuses the credentials"
NO_TLS = "no TLS connection"
PLAIN_TO_TLS = "security.protocol"
WANTS_CERTIFICATE = "wants a client certificate, and none is set"

BROKER_CASES: dict[str, tuple[str, Callable[[Secured], Properties], tuple[str, ...]]] = {
    "no certificate": (TLS, without_certificate, (NO_TLS, WANTS_CERTIFICATE, "ssl.certificate.location")),
    "a certificate of another authority": (
        TLS,
        with_strange_certificate,
        (NO_TLS, "does not accept the client certificate", "ssl.certificate.location"),
    ),
    "an unknown authority of the server": (
        TLS,
        lambda secured: with_strange_authority(secured.mutual_tls, secured),
        (NO_TLS, "certificate verify failed", "ssl.ca.location"),
    ),
    "plain text to a TLS port": (TLS, lambda _: {}, (PLAIN_TO_TLS,)),
    "a wrong password": (
        SASL,
        lambda secured: {**secured.scram, "sasl.password": f"wrong-{SECRET}"},
        (NO_PASSAGE, "invalid credentials", "sasl.password"),
    ),
    "an unknown user": (
        SASL,
        lambda secured: {**secured.scram, "sasl.username": "eve"},
        (NO_PASSAGE, "invalid credentials", "sasl.username"),
    ),
    "a mechanism that the broker does not have": (
        SASL,
        lambda secured: {**secured.scram, "sasl.mechanism": "SCRAM-SHA-256"},
        (NO_PASSAGE, "sasl.mechanism"),
    ),
    "an unknown authority, with the right password": (
        SASL,
        lambda secured: with_strange_authority(secured.scram, secured),
        (NO_TLS, "certificate verify failed", "ssl.ca.location"),
    ),
    "TLS to a plain port": ("PLAINTEXT", lambda secured: secured.mutual_tls, (NO_TLS, "security.protocol")),
    "TLS where a password is wanted": (SASL, lambda secured: secured.mutual_tls, (PLAIN_TO_TLS,)),
}


@pytest.mark.parametrize("case", BROKER_CASES)
def test_the_broker_refuses(secured: Secured, bare_commands: Commands, tmp_path: Path, case: str) -> None:
    listener, properties, words = BROKER_CASES[case]
    secured.place(listener, properties(secured)).write(tmp_path)
    for sentence in complaints(bare_commands, 1):
        assert all(word in sentence for word in words), sentence


def test_a_certificate_for_another_name_is_refused(secured: Secured, bare_commands: Commands, tmp_path: Path) -> None:
    place = secured.place(SASL, secured.scram)
    replace(place, bootstrap_servers=place.bootstrap_servers.replace(HOST, "localhost")).write(tmp_path)
    for sentence in complaints(bare_commands, 1):
        assert NO_TLS in sentence
        assert "ssl.endpoint.identification.algorithm" not in sentence  # nobody is told to switch the check off


SETTINGS_CASES: dict[str, tuple[str, str]] = {
    "a wrong password of the key": ("ssl.key.password", f"wrong-{SECRET}"),
    "a file that does not exist": ("ssl.ca.location", "nothing.pem"),
    "a protocol that does not exist": ("security.protocol", "TLS"),
}


@pytest.mark.parametrize("case", SETTINGS_CASES)
def test_a_property_that_cannot_be_used_is_a_wrong_setting(
    secured: Secured, bare_commands: Commands, tmp_path: Path, case: str
) -> None:
    name, value = SETTINGS_CASES[case]
    secured.place(TLS, {**secured.mutual_tls, name: value}).write(tmp_path)
    for sentence in complaints(bare_commands, 2):
        assert "[kafka] is refused" in sentence
        assert name.removesuffix(".password") in sentence


# --- the registry ---------------------------------------------------------------------------------------------------

REGISTRY_CASES: dict[str, tuple[Callable[[Secured], Properties], tuple[str, ...]]] = {
    "a wrong password": (
        lambda secured: {**secured.basic_auth, "basic.auth.user.info": f"{USER}:wrong-{SECRET}"},
        (NO_PASSAGE, "basic.auth.user.info"),
    ),
    "no password": (
        lambda secured: without(secured.basic_auth, "basic.auth.user.info"),
        (NO_PASSAGE, "basic.auth.user.info"),
    ),
    "an unknown authority of the server": (
        lambda secured: with_strange_authority(secured.basic_auth, secured),
        (NO_TLS, "certificate verify failed", "ssl.ca.location"),
    ),
    "an authority of which nothing is said": (
        lambda secured: without(secured.basic_auth, "ssl.ca.location"),
        (NO_TLS, "certificate verify failed", "ssl.ca.location"),
    ),
}


@pytest.mark.parametrize("case", REGISTRY_CASES)
def test_the_registry_refuses(secured: Secured, bare_commands: Commands, tmp_path: Path, case: str) -> None:
    properties, words = REGISTRY_CASES[case]
    replace(registry_place(secured), schema_registry=properties(secured)).write(tmp_path)
    for sentence in complaints(bare_commands, 1):
        assert "registry" in sentence
        assert "<h1>" not in sentence
        assert all(word in sentence for word in words), sentence


def test_a_wrong_password_in_the_url_of_the_registry_is_not_shown(
    secured: Secured, bare_commands: Commands, tmp_path: Path
) -> None:
    url = secured.registry_url.replace("https://", f"https://{USER}:wrong-{SECRET}@")
    properties = without(secured.basic_auth, "basic.auth.user.info")
    replace(registry_place(secured), schema_registry_url=url, schema_registry=properties).write(tmp_path)
    for sentence in complaints(bare_commands, 1):
        assert NO_PASSAGE in sentence


def test_plain_text_to_the_registry_s_tls_port_is_no_answer(
    secured: Secured, bare_commands: Commands, tmp_path: Path
) -> None:
    url = secured.registry_url.replace("https://", "http://")
    replace(registry_place(secured), schema_registry_url=url).write(tmp_path)
    producer, consumer, doctor = COMMANDS
    for command in (producer, doctor):
        assert f"No schema registry answers at {url}" in complaint(bare_commands.start(*command).end(1))
    assert f"No schema registry answers at {url}" in bare_commands.waits(*consumer)


# --- servers that want a certificate say so in different words ------------------------------------------------------


@contextmanager
def demanding_server(secured: Secured, version: ssl.TLSVersion) -> Iterator[str]:
    """Run a server that wants a client's certificate by this version of TLS, and says nothing more; yield its address.

    OpenSSL's alert is certificate_required by TLS 1.3 (as Java's from 17.0.21 on), handshake_failure by TLS 1.2.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(secured.folder / "server.pem")
    context.load_verify_locations(secured.authority.certificate)
    context.verify_mode = ssl.CERT_REQUIRED
    context.minimum_version = context.maximum_version = version
    with served(context) as address:
        yield address


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")  # the handshakes that fail
@pytest.mark.parametrize(
    ("version", "words"),
    [
        (ssl.TLSVersion.TLSv1_3, "it wants a client certificate, and none is set"),
        (ssl.TLSVersion.TLSv1_2, "it may want a client certificate, and none is set"),
    ],
)
def test_the_missing_certificate_is_named_whatever_the_server_calls_it(
    secured: Secured, bare_commands: Commands, tmp_path: Path, version: ssl.TLSVersion, words: str
) -> None:
    with demanding_server(secured, version) as address:
        place = secured.place(TLS, without_certificate(secured))
        replace(place, bootstrap_servers=address, schema_registry_url=f"https://{address}").write(tmp_path)
        output = bare_commands.run(*DOCTOR, code=1)
        broker, registry = (line for line in output.splitlines() if line.startswith("✗"))
        assert "broker" in broker
        assert "registry" in registry
        for sentence in (broker, registry):
            assert NO_TLS in sentence
            assert words in sentence
            assert "ssl.certificate.location" in sentence


def registry_place(secured: Secured) -> Place:
    """Return settings with which the broker is no hindrance, so that the doctor finds fault with the registry only."""
    return secured.place(TLS, secured.mutual_tls)
