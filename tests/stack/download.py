"""The parts that Maven downloads, kept in a cache folder that all stacks of a user share."""

import fcntl
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from tempfile import mkdtemp

from tests.stack.versions import JAVA, JAVA_SERDES, KAFKA, KAFKA_LOGGING, MAVEN_PLUGIN, REGISTRY

DOWNLOAD_DEADLINE = 900.0

_POM = """<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>kafkajourney</groupId><artifactId>stack</artifactId><version>1</version><packaging>pom</packaging>
  <dependencies>{}</dependencies>
</project>
"""
_DEPENDENCY = "<dependency><groupId>{}</groupId><artifactId>{}</artifactId><version>{}</version></dependency>"


class Missing(Exception):  # noqa: N818 # a reason to skip, not a failure
    """A part cannot be had on this machine: ``str(missing)`` says which, and why."""


def java() -> str:
    """Return the path of a Java that is new enough."""
    home = os.environ.get("JAVA_HOME")
    path = shutil.which("java", path=f"{home}/bin" if home else None)
    if path is None:
        raise Missing(f"Java is not installed; the real stack needs Java {JAVA} or newer.")
    told = subprocess.run([path, "-version"], capture_output=True, text=True, check=False).stderr
    version = re.search(r'version "(\d+)', told)
    if version is None or int(version[1]) < JAVA:
        raise Missing(f"The real stack needs Java {JAVA} or newer; {path} says: {told.strip()}")
    return path


def kafka_libraries() -> Path:
    """Return the folder of the broker's jars, downloaded where it is not in the cache."""
    return cached(f"kafka-{_version(KAFKA)}", partial(download_libraries, [KAFKA, KAFKA_LOGGING]))


def java_serdes() -> Path:
    """Return the folder of the jars of a Java client, downloaded where it is not in the cache."""
    return cached(f"java-serdes-{_version(JAVA_SERDES)}", partial(download_libraries, [JAVA_SERDES]))


def registry_home() -> Path:
    """Return the folder of the registry's jars, downloaded where it is not in the cache."""
    return cached(f"registry-{_version(REGISTRY)}", _download_registry)


def _version(artifact: str) -> str:
    return artifact.split(":")[2]


def download_libraries(artifacts: Sequence[str], folder: Path) -> None:
    dependencies = [_DEPENDENCY.format(*artifact.split(":")) for artifact in artifacts]
    (folder / "pom.xml").write_text(_POM.format("".join(dependencies)), encoding="utf-8")
    maven(folder, "copy-dependencies", "-DincludeScope=runtime", f"-DoutputDirectory={folder}")


def _download_registry(folder: Path) -> None:
    maven(folder, "unpack", f"-Dartifact={REGISTRY}", f"-DoutputDirectory={folder}")


def maven(folder: Path, goal: str, *properties: str) -> None:
    """Run a goal of Maven's dependency plugin in this folder."""
    maven = shutil.which("mvn")
    if maven is None:
        raise Missing("Maven is not installed; the real stack is downloaded with it, once.")
    command = [maven, "--quiet", "--batch-mode", f"{MAVEN_PLUGIN}:{goal}", *properties]
    try:
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, check=False, timeout=DOWNLOAD_DEADLINE
        )
    except subprocess.TimeoutExpired:
        raise Missing(f"Maven has not downloaded the real stack within {DOWNLOAD_DEADLINE:.0f} s.") from None
    if done.returncode:
        errors = [line for line in done.stdout.splitlines() if "[ERROR]" in line]
        raise Missing(f"Maven cannot download the real stack: {errors[0] if errors else done.stdout + done.stderr}")


def cached(name: str, fill: Callable[[Path], None]) -> Path:
    """Return the folder of this name in the cache. It is there as a whole or not at all, also when two ask at once."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "kafkajourney"
    found = cache / name
    if found.exists():
        return found
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # Maven's own folder takes one download at a time, too
        if not found.exists():
            unfinished = Path(mkdtemp(prefix=f".{name}.", dir=cache))
            try:
                fill(unfinished)
                unfinished.rename(found)
            finally:
                shutil.rmtree(unfinished, ignore_errors=True)
    return found
