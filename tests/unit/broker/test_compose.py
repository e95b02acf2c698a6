"""docker-compose.yml runs the broker that the tests ran: same Kafka, same settings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from jobstream.broker.jars import KAFKA_VERSION
from jobstream.broker.settings import shared_settings

ROOT = Path(__file__).parents[3]
CONTAINER_ONLY = {
    "KAFKA_ADVERTISED_LISTENERS",
    "KAFKA_CONTROLLER_LISTENER_NAMES",
    "KAFKA_CONTROLLER_QUORUM_VOTERS",
    "KAFKA_HEAP_OPTS",
    "KAFKA_INTER_BROKER_LISTENER_NAME",
    "KAFKA_LISTENERS",
    "KAFKA_LISTENER_SECURITY_PROTOCOL_MAP",
    "KAFKA_LOG_DIRS",
    "KAFKA_NODE_ID",
    "KAFKA_PROCESS_ROLES",
}


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    composed = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    found: dict[str, Any] = composed["services"]
    return found


def variable(setting: str) -> str:
    """The environment variable by which the Kafka image takes a setting."""
    return "KAFKA_" + setting.upper().replace(".", "_")


def test_broker_settings_equal_the_embedded_ones(services: dict[str, Any]) -> None:
    environment: dict[str, str] = services["kafka"]["environment"]
    shared = {k: v for k, v in environment.items() if k.startswith("KAFKA_")}
    for name in CONTAINER_ONLY:
        del shared[name]

    assert shared == {variable(name): value for name, value in shared_settings(1).items()}


def test_kafka_is_the_pinned_version(services: dict[str, Any]) -> None:
    assert services["kafka"]["image"] == f"apache/kafka:{KAFKA_VERSION}"


def test_every_service_has_a_memory_limit(services: dict[str, Any]) -> None:
    assert all("mem_limit" in service for service in services.values())


def test_kafka_is_asked_whether_it_serves_and_keeps_its_data(services: dict[str, Any]) -> None:
    kafka = services["kafka"]

    assert "--bootstrap-server" in kafka["healthcheck"]["test"]
    volume, target = kafka["volumes"][0].split(":")
    assert volume
    assert target == kafka["environment"]["KAFKA_LOG_DIRS"]


def test_nothing_is_published_beyond_this_machine(services: dict[str, Any]) -> None:
    ports = [port for service in services.values() for port in service.get("ports", [])]

    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_worker_waits_for_kafka_and_may_drain(services: dict[str, Any]) -> None:
    worker = services["worker"]

    assert worker["depends_on"]["kafka"]["condition"] == "service_healthy"
    assert int(worker["stop_grace_period"].removesuffix("s")) > 25


def test_image_is_pinned_and_runs_as_nobody_special(services: dict[str, Any]) -> None:
    lines = (ROOT / services["worker"]["build"]["dockerfile"]).read_text().splitlines()
    bases = {line.split()[1] for line in lines if line.startswith("FROM")}
    users = [line.split()[1] for line in lines if line.startswith("USER")]

    assert len(bases) == 1
    assert bases.pop().partition(":")[2].count(".") == 2, "a whole version, no moving tag"
    assert users[-1] not in {"0", "root"}
    assert any(line.strip().endswith('[worker]"') for line in lines)
