"""docker-compose.yml runs the broker that the tests ran: same Kafka, same settings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from jobstream.broker.broker_settings import shared_settings
from jobstream.broker.jars import KAFKA_VERSION

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


def test_kafka_is_asked_whether_it_serves_and_keeps_its_data(services: dict[str, Any]) -> None:
    kafka = services["kafka"]

    assert "--bootstrap-server" in kafka["healthcheck"]["test"]
    volume, target = kafka["volumes"][0].split(":")
    assert volume
    assert target == kafka["environment"]["KAFKA_LOG_DIRS"]
