"""What the peers need: a virtual environment below ``.kafkajourney``, and Kafka Connect's jars in the tests' cache."""

import subprocess
import venv
from functools import partial
from importlib.metadata import distributions
from pathlib import Path

from kafkajourney.state import STATE_FOLDER
from tests.stack.download import cached, download_libraries, maven
from tests.stack.versions import KAFKA_LOGGING

CONNECT = "org.apache.kafka:connect-runtime:4.3.1"
"""Of Kafka's own releases on Maven Central the newest with this artifact: 4.4.0 was not published with it."""
JDBC_SINK = "io.debezium:debezium-connector-jdbc:3.5.0.Final"
ROUTER = "io.debezium:debezium-scripting:3.5.0.Final"
"""The transformation that routes a record by its type; its parent pom is not on Maven Central, hence unpacked."""
ROUTER_LANGUAGE = "org.apache.groovy:groovy-jsr223:4.0.28"
CONVERTER = "io.apicurio:apicurio-registry-utils-converter:2.6.13.Final"
"""Avro for Connect, in Confluent's format too. Confluent's own converter is not on Maven Central."""

PEERS = STATE_FOLDER / "peers"
PACKAGES = ("quixstreams", "faststream", "confluent-kafka", "fastavro", "psycopg", "psycopg2-binary")


def python() -> Path:
    """Return the interpreter of the peers' environment, which is made where it is not there."""
    path, ready = (PEERS / "bin" / "python").absolute(), PEERS / ".ready"
    if not ready.exists():
        venv.create(PEERS, with_pip=True, clear=True)
        for packages in (["pip>=25.1"], ["--group", "bench"]):
            subprocess.run([path, "-m", "pip", "install", "-q", "--disable-pip-version-check", *packages], check=True)
        ready.touch()
    return path


def versions() -> dict[str, str]:
    """Return the versions of the peers and of what they stand on."""
    folders = [str(folder) for folder in PEERS.glob("lib/*/site-packages")]
    found = {package.name: package.version for package in distributions(path=folders)}
    artifacts = (CONNECT, JDBC_SINK, ROUTER, ROUTER_LANGUAGE, CONVERTER)
    return {name: found[name] for name in PACKAGES if name in found} | {
        artifact.split(":")[1]: artifact.split(":")[2] for artifact in artifacts
    }


def connect_libraries() -> Path:
    """Return the folder of Kafka Connect's jars, downloaded where it is not in the cache."""
    return cached(f"connect-{_version(CONNECT)}", partial(download_libraries, [CONNECT, KAFKA_LOGGING]))


def connect_plugins() -> Path:
    """Return the folder of its plugins, downloaded where it is not in the cache."""
    return cached(f"connect-plugins-{_version(JDBC_SINK)}", _download_plugins)


def _version(artifact: str) -> str:
    return artifact.split(":")[2]


def _download_plugins(folder: Path) -> None:
    for archive in (f"{JDBC_SINK}:tar.gz:plugin", f"{ROUTER}:tar.gz"):
        maven(folder, "unpack", f"-Dartifact={archive}", f"-DoutputDirectory={folder}")
    sink, router, converter = folder / "debezium-connector-jdbc", folder / "debezium-scripting", folder / "converter"
    download_libraries([ROUTER_LANGUAGE], router)
    for jar in router.glob("*.jar"):
        jar.rename(sink / jar.name)
    converter.mkdir()
    download_libraries([CONVERTER], converter)
    for jar in (*converter.glob("connect-*.jar"), *converter.glob("kafka-clients-*.jar")):
        jar.unlink()  # of an older Connect; the runtime has its own
