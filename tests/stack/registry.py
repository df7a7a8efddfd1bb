"""Apicurio Registry, which speaks Confluent's API at a path of its own."""

from pathlib import Path
from tempfile import TemporaryDirectory

import httpx2

from kafkajourney.embedded.registry_model import DEFAULT_LEVEL
from tests.stack.classes import archive
from tests.stack.download import java, registry_home
from tests.stack.server import HOST, Server, free_port


class Registry(Server):
    """A registry that keeps its schemas in a file: they outlive a restart, and a kill."""

    def __init__(self, folder: Path, classes: str | None = None) -> None:
        port = free_port()
        self.url = f"http://{HOST}:{port}/apis/ccompat/v7"
        data = folder / "registry"
        data.mkdir(parents=True)
        properties = {
            "java.io.tmpdir": data,
            "quarkus.http.host": HOST,
            "quarkus.http.port": port,
            "quarkus.http.access-log.enabled": "false",
            # Without a delay: what was answered is on the disk, whatever then happens.
            "apicurio.datasource.url": f"jdbc:h2:file:{data}/schemas;WRITE_DELAY=0",
            "apicurio.datasource.jdbc.initial-size": 2,
            "apicurio.datasource.jdbc.min-size": 2,
            "apicurio.storage.snapshot.location": data,
            # As with Confluent's, a schema is found however its JSON is laid out. (Without docs and aliases, though.)
            "apicurio.ccompat.use-canonical-hash": "true",
        }
        options = [f"-D{name}={value}" for name, value in properties.items()]
        (runner,) = registry_home().glob("*-runner.jar")
        classes = classes or archive(registry_home().name, _run_once)
        command = [java(), "-Xmx256m", classes, *options, "-jar", str(runner)]
        super().__init__("The registry", command, folder / "registry.log")

    def is_healthy(self) -> bool:
        """Whether it answers; the first time it is given Confluent's default level, its own being NONE."""
        try:
            return httpx2.put(f"{self.url}/config", json={"compatibility": DEFAULT_LEVEL}, timeout=5).is_success
        except httpx2.TransportError:
            return False


def _run_once(classes: str) -> None:
    """Run it with this option of the JVM, and end it in order."""
    with TemporaryDirectory() as folder, Registry(Path(folder), classes) as registry:
        registry.stop()
