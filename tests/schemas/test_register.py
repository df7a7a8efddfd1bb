"""``python -m schemas register``: what it would do, what it does, and that it is the same however often it is done."""

import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest
from confluent_kafka.schema_registry import SchemaRegistryClient

from kafkajourney.avro.catalogue import Catalogue, load
from kafkajourney.embedded.registry import RegistryServer
from kafkajourney.errors import StopError
from kafkajourney.registry.client import IncompatibleError, Registry
from kafkajourney.schemas.plan import plan
from kafkajourney.schemas.register import register
from kafkajourney.settings import Settings
from tests.stack import RealStack
from tests.support.schema_files import TITLE, V1, V3, copy_schemas, edit, evolve

pytestmark = pytest.mark.registry

TOPIC = "user-journey"
VIDEO_SUBJECT = "kafkajourney.events.VideoPlayed"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return copy_schemas()


@pytest.fixture
def embedded_registry() -> Iterator[str]:
    with RegistryServer() as server:
        yield server.url


@pytest.fixture
def real_registry(real: RealStack) -> str:
    return real.settings.schema_registry_url


@pytest.fixture
def registry(embedded_registry: str) -> Registry:
    return of(embedded_registry)


def of(url: str) -> Registry:
    return Registry(Settings("localhost:1", url, "sqlite://", TOPIC), max_retries=0)


def steps(registry: Registry, catalogue: Catalogue) -> list[str]:
    return [f"{step.subject.rpartition('.')[2]}: {step.what}" for step in plan(registry, catalogue, TOPIC)]


def findings(registry: Registry, catalogue: Catalogue) -> list[str]:
    return [str(step.finding) for step in plan(registry, catalogue, TOPIC) if step.finding]


def test_the_plan_for_an_empty_registry_is_everything_and_does_nothing(registry: Registry) -> None:
    told = steps(registry, load())
    assert told[-5:] == [
        "VideoPlayed: the level would be set to FULL_TRANSITIVE (now: none of its own)",
        "VideoPlayed: version 1 would be registered",
        "VideoPlayed: version 2 would be registered",
        "user-journey-value: the level would be set to BACKWARD_TRANSITIVE (now: none of its own)",
        "user-journey-value: the union would be registered, with the newest versions",
    ]
    assert registry.subjects() == []


def test_the_plan_for_a_registry_that_has_everything_is_nothing(registry: Registry) -> None:
    list(register(registry, load(), TOPIC))
    assert all(step.endswith(" is registered") for step in steps(registry, load()))
    assert len(steps(registry, load())) == 8


def test_the_plan_for_a_new_version(registry: Registry, folder: Path) -> None:
    list(register(registry, load(), TOPIC))
    evolve(TITLE, title="Tour")
    assert steps(registry, load(folder))[-2:] == [
        "VideoPlayed: version 3 would be registered",
        "user-journey-value: the union would be registered, with the newest versions",
    ]
    list(register(registry, load(folder), TOPIC))
    assert steps(registry, load(folder))[-1] == "user-journey-value: version 2 is registered"
    assert "VideoPlayed: version 3 is registered, and not in these files" in steps(registry, load())


def test_the_plan_tells_what_would_be_refused(registry: Registry, folder: Path) -> None:
    list(register(registry, load(), TOPIC))
    evolve({"name": "title", "type": "string"}, title="Tour")
    reason = "VideoPlayed.title: the reader needs this field, the writer does not have it; give it a default"
    told = "; ".join(f"the new schema cannot read version {number}: {reason}" for number in (1, 2))
    whom = "readers or writers of versions 1 and 2 would break. Change the file as `python -m schemas check` says."
    assert findings(registry, load(folder)) == [f"{V3}: VideoPlayed is refused by the registry ({told}): {whom}"]


def test_the_plan_tells_which_version_is_another_in_the_registry(registry: Registry, folder: Path) -> None:
    list(register(registry, load(), TOPIC))
    edit(V1, lambda d: d["fields"][-1].update(doc="Other."))
    doc = "Where in the video playing began, in seconds from its start."
    [finding] = findings(registry, load(folder))
    assert finding == (
        f"{V1}: VideoPlayed.position_seconds is not what the registry has as version 1 (doc: {doc}, here Other.): "
        "readers have another version 1 than its writers. Restore the file; for a change run: python -m schemas evolve "
        "VideoPlayed"
    )
    with pytest.raises(
        StopError, match=f"{V1}: the registry has another version 1 of {VIDEO_SUBJECT}. Restore the file"
    ):
        list(register(registry, load(folder), TOPIC))
    assert registry.client.get_versions(VIDEO_SUBJECT) == [1, 2]


def test_the_plan_tells_that_a_type_is_gone_from_the_union(registry: Registry, folder: Path) -> None:
    list(register(registry, load(), TOPIC))
    shutil.rmtree("schemas/url_clicked")
    [finding] = findings(registry, load(folder))
    assert finding.startswith(
        "schemas: user-journey-value is refused by the registry as a union: readers of the topic's"
    )


def test_a_refusal_shows_the_file_and_the_registrys_reason(registry: Registry, folder: Path) -> None:
    list(register(registry, load(), TOPIC))
    evolve({"name": "title", "type": "string"}, title="Tour")
    with pytest.raises(IncompatibleError, match=f"{V3}: .* refuses the schema: .*title.* Run: python -m schemas check"):
        list(register(registry, load(folder), TOPIC))


def test_a_level_that_another_process_sets_at_the_same_moment_is_no_refusal(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    def set_by_another(subject: str, level: str) -> None:
        registry.client.set_compatibility(subject, level)
        raise IncompatibleError("A rule named 'COMPATIBILITY' already exists.")

    monkeypatch.setattr(registry, "set_level", set_by_another)
    assert list(register(registry, load(), TOPIC))
    monkeypatch.setattr(registry, "set_level", set_nothing)
    with pytest.raises(IncompatibleError, match="already exists"):
        list(register(registry, load(), "another-topic"))


def set_nothing(_subject: str, _level: str) -> None:
    raise IncompatibleError("A rule named 'COMPATIBILITY' already exists.")


def elsewhere(namespace: str) -> Catalogue:
    """Return the event types under subjects that no registry has yet."""
    catalogue = load()
    for version in (version for event_type in catalogue.values() for version in event_type.versions):
        version.definition["namespace"] = namespace
    return catalogue


@pytest.mark.parametrize("kind", ["embedded", pytest.param("real", marks=pytest.mark.stack)])
def test_several_at_once_end_with_one_state(kind: str, request: pytest.FixtureRequest) -> None:
    url = request.getfixturevalue(f"{kind}_registry")
    namespace, count = f"at.once.{kind}", 4
    start = Barrier(count)

    def one(_number: int) -> list[tuple[str, int, int]]:
        registry = of(url)
        with registry.client:
            start.wait()
            return list(register(registry, elsewhere(namespace), namespace))

    with ThreadPoolExecutor(count) as pool:
        first, *others = pool.map(one, range(count))
    assert all(other == first for other in others)
    with SchemaRegistryClient({"url": url}) as client:
        assert client.get_versions(f"{namespace}.VideoPlayed") == [1, 2]
        assert client.get_versions(f"{namespace}-value") == [1]
        assert client.get_compatibility(f"{namespace}.VideoPlayed") == "FULL_TRANSITIVE"
        assert client.get_compatibility(f"{namespace}-value") == "BACKWARD_TRANSITIVE"
