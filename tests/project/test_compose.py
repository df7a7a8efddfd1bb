"""What can be told of ``docker-compose.yml`` without a docker engine."""

import re
import subprocess
import sys
from io import StringIO
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import yaml
from dotenv import dotenv_values
from prometheus_client import CollectorRegistry
from werkzeug.serving import make_server

from kafkajourney.settings import DEFAULTS, ENVIRONMENT
from kafkajourney.watching.health import ALIVE_FOR, Health
from kafkajourney.watching.server import application

ROOT = Path(__file__).parents[2]
COMPOSE_FILE = ROOT / "docker-compose.yml"
SERVICES: dict[str, dict[str, Any]] = yaml.safe_load(COMPOSE_FILE.read_text(encoding="utf-8"))["services"]
APPLICATION = {"producer", "journey", "analytic"}
ONE_SHOT = {"setup", "control-center-config"}
MONITORING = {"monitoring-prometheus", "grafana"}
INFRASTRUCTURE = {"broker", "schema-registry", "prometheus", "alertmanager", "control-center", "sqlserver"} | MONITORING

INCLUDED_METRICS = "KAFKA_CONFLUENT_TELEMETRY_EXPORTER_C3PLUSPLUS_METRICS_INCLUDE"


def conditions(service: str) -> dict[str, str]:
    """Return what a service waits for: the condition by the other service's name."""
    return {name: wait["condition"] for name, wait in SERVICES[service].get("depends_on", {}).items()}


def with_defaults(text: str) -> str:
    """Return the text as compose reads it where no variable is set."""
    return re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", text)


@pytest.mark.stack
def test_follows_the_compose_specification() -> None:
    command = ["-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(COMPOSE_FILE)]
    done = subprocess.run([sys.executable, *command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_service_is_known_to_these_tests() -> None:
    assert set(SERVICES) == APPLICATION | ONE_SHOT | INFRASTRUCTURE


@pytest.mark.parametrize("service", sorted(INFRASTRUCTURE))
def test_infrastructure_has_a_health_check(service: str) -> None:
    assert SERVICES[service]["healthcheck"]["test"]


@pytest.mark.parametrize("service", sorted(SERVICES))
def test_ports_are_published_on_this_machine_only(service: str) -> None:
    for port in SERVICES[service].get("ports", []):
        assert re.fullmatch(r"127\.0\.0\.1:\d+:\d+", port)


@pytest.mark.parametrize(
    ("service", "port"),
    [
        ("broker", 9092),
        ("schema-registry", 8081),
        ("control-center", 9021),
        ("sqlserver", 1433),
        ("monitoring-prometheus", 9090),
        ("grafana", 3000),
    ],
)
def test_published_ports(service: str, port: int) -> None:
    assert SERVICES[service]["ports"] == [f"127.0.0.1:{port}:{port}"]


def test_broker_is_advertised_to_host_and_containers() -> None:
    broker = SERVICES["broker"]["environment"]
    assert broker["KAFKA_ADVERTISED_LISTENERS"].split(",") == [
        "PLAINTEXT://broker:29092",
        f"PLAINTEXT_HOST://{DEFAULTS['bootstrap_servers']}",
    ]
    assert broker["KAFKA_AUTO_CREATE_TOPICS_ENABLE"] == "false"


@pytest.mark.parametrize(("service", "folder"), [("broker", "/var/lib/kafka/data"), ("sqlserver", "/var/opt/mssql")])
def test_data_outlives_its_container(service: str, folder: str) -> None:
    assert SERVICES[service]["volumes"] == [f"{service}-data:{folder}"]


def test_metrics_for_control_center_are_one_regular_expression() -> None:
    pattern = SERVICES["broker"]["environment"][INCLUDED_METRICS]
    assert not re.search(r"\s", pattern)
    assert re.fullmatch(pattern, "io.confluent.kafka.server.request.total.time.ms.p99")
    assert not re.fullmatch(pattern, "io.confluent.kafka.server.request.total.delta")


@pytest.mark.parametrize(
    "services",
    [
        ("broker", "schema-registry"),
        ("control-center", "control-center-config", "prometheus", "alertmanager"),
    ],
)
def test_images_of_one_platform_share_a_tag(services: tuple[str, ...]) -> None:
    images = [SERVICES[service]["image"] for service in services]
    assert all(image.startswith("confluentinc/") for image in images)
    assert len({image.rpartition(":")[2] for image in images}) == 1


@pytest.mark.parametrize("service", ["control-center-config", "control-center", "prometheus", "alertmanager"])
def test_control_center_shares_its_folder(service: str) -> None:
    assert SERVICES[service]["volumes"] == ["control-center-config:/mnt/config"]


@pytest.mark.parametrize("service", ["prometheus", "alertmanager"])
def test_the_shared_folder_is_filled_before_it_is_read(service: str) -> None:
    assert conditions(service) == {"control-center-config": "service_completed_successfully"}


def test_control_center_waits_for_what_it_shows() -> None:
    shown = ("broker", "schema-registry", "prometheus", "alertmanager")
    assert conditions("control-center") == dict.fromkeys(shown, "service_healthy")


def test_setup_waits_until_all_it_sets_up_is_healthy() -> None:
    assert conditions("setup") == dict.fromkeys(("broker", "schema-registry", "sqlserver"), "service_healthy")


def test_setup_runs_without_the_application() -> None:
    assert "profiles" not in SERVICES["setup"]


@pytest.mark.parametrize(("service", "count"), [("producer", 1), ("journey", 3), ("analytic", 2)])
def test_application_runs_by_profile_after_setup(service: str, count: int) -> None:
    definition = SERVICES[service]
    assert definition["profiles"] == ["app"]
    assert definition.get("deploy", {}).get("replicas", 1) == count
    assert conditions(service) == {"setup": "service_completed_successfully"}
    assert definition["restart"] == "unless-stopped"


@pytest.mark.parametrize("service", sorted(APPLICATION))
def test_signals_reach_the_application(service: str) -> None:
    assert SERVICES[service]["command"][:2] == ["python", "-m"]


@pytest.mark.parametrize("service", sorted(APPLICATION | {"setup"}))
def test_application_is_one_image_with_one_environment(service: str) -> None:
    assert {name: SERVICES[service][name] for name in ("image", "build", "environment")} == {
        "image": "kafkajourney:local",
        "build": ".",
        "environment": SERVICES["producer"]["environment"],
    }


def test_application_finds_the_services_inside_as_the_host_does_outside() -> None:
    inside = {name: with_defaults(value) for name, value in SERVICES["producer"]["environment"].items()}
    assert inside == {
        ENVIRONMENT["bootstrap_servers"]: "broker:29092",
        ENVIRONMENT["schema_registry_url"]: "http://schema-registry:8081",
        ENVIRONMENT["database_url"]: DEFAULTS["database_url"].replace("@localhost:", "@sqlserver:"),
        ENVIRONMENT["topic"]: DEFAULTS["topic"],
        "KAFKAJOURNEY_METRICS_HOST": "0.0.0.0",
        "KAFKAJOURNEY_METRICS_PORT": "9400",
    }


@pytest.mark.stack
@pytest.mark.parametrize(("still", "code"), [(0, 0), (ALIVE_FOR + 1, 1)])
def test_application_is_healthy_while_its_loop_goes_round(still: float, code: int) -> None:
    times = iter([0.0, still])
    page = application(CollectorRegistry(), Health([], lambda: next(times)))
    ((_, _, option, script),) = {tuple(SERVICES[service]["healthcheck"]["test"]) for service in APPLICATION}
    port = SERVICES["journey"]["environment"]["KAFKAJOURNEY_METRICS_PORT"]
    with make_server("127.0.0.1", 0, page) as server:
        answering = Thread(target=server.handle_request)
        answering.start()
        command = [sys.executable, option, script.replace(port, str(server.port))]
        done = subprocess.run(command, capture_output=True, check=False)
        answering.join()
    assert done.returncode == code


@pytest.mark.parametrize("service", sorted(MONITORING))
def test_monitoring_runs_by_profile_with_an_image_of_one_version_and_files_that_exist(service: str) -> None:
    definition = SERVICES[service]
    assert definition["profiles"] == ["monitoring"]
    assert re.fullmatch(r"\w+/\w+:v?\d+\.\d+\.\d+", definition["image"])
    mounted = [volume.split(":") for volume in definition["volumes"] if volume.startswith("./")]
    assert mounted
    for folder, _, mode in mounted:
        assert (ROOT / folder).is_dir()
        assert mode == "ro"


def test_password_of_the_database_is_the_one_in_the_default_url() -> None:
    password = with_defaults(SERVICES["sqlserver"]["environment"]["MSSQL_SA_PASSWORD"])
    assert f"//sa:{password}@localhost:1433/" in DEFAULTS["database_url"]


def test_example_of_env_lists_every_setting_with_its_default() -> None:
    text = (ROOT / ".env.example").read_text(encoding="utf-8")
    active = dict(dotenv_values(stream=StringIO(text)))
    password = with_defaults(SERVICES["sqlserver"]["environment"]["MSSQL_SA_PASSWORD"])
    assert active == {"MSSQL_SA_PASSWORD": password}
    uncommented = dotenv_values(stream=StringIO(text.replace("# KAFKAJOURNEY_", "KAFKAJOURNEY_")))
    assert dict(uncommented) == active | {ENVIRONMENT[name]: value for name, value in DEFAULTS.items()}
