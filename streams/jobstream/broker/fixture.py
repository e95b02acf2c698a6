"""Pytest fixtures that give a test a real Kafka, made once per test run.

`jobstream.testing` re-exports them for users' own tests. They start and stop brokers; topics
are the test's own affair, and every test that shares a broker needs topic names of its own.

PYTEST_DONT_REWRITE: it asserts nothing, so it may be imported before pytest registers it.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from jobstream.broker.embedded import START_LIMIT_S, EmbeddedKafka
from jobstream.broker.ready import serves

EXTERNAL = "JOBSTREAM_TEST_BOOTSTRAP"
DOCKER_PORT = 9092
_ENGINE_ANSWER_S = 10


@dataclass(frozen=True, slots=True)
class RunningKafka:
    """A Kafka that somebody else started, and that a test may use but not break."""

    bootstrap_servers: str


@pytest.fixture(scope="session")
def kafka() -> Iterator[EmbeddedKafka | RunningKafka]:
    """One node, shared by the whole test run; its `bootstrap_servers` is what a test needs.

    With `JOBSTREAM_TEST_BOOTSTRAP` set, the broker at that address instead.
    """
    if address := os.environ.get(EXTERNAL):
        yield RunningKafka(address)
        return
    with EmbeddedKafka() as broker:
        yield broker


@pytest.fixture(scope="session")
def kafka_three() -> Iterator[EmbeddedKafka]:
    """Three nodes, started by the first test that asks; a test that breaks one repairs it."""
    with EmbeddedKafka(3) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def docker_kafka(request: pytest.FixtureRequest) -> RunningKafka:
    """The Kafka of `docker-compose.yml`, by `pytest-docker`; skipped without a Docker engine."""
    if not docker_engine_answers():
        pytest.skip("no Docker engine")
    # Asked for by name and late: the plugin's fixture starts containers when it is set up.
    services: Any = request.getfixturevalue("docker_services")
    host: str = request.getfixturevalue("docker_ip")
    port: int = services.port_for("kafka", DOCKER_PORT)
    address = f"{host}:{port}"
    services.wait_until_responsive(check=lambda: serves(address), timeout=START_LIMIT_S, pause=0.5)
    return RunningKafka(address)


def docker_engine_answers() -> bool:
    """Whether a Docker engine, not only its client, is there and has Compose."""
    client = shutil.which("docker")
    if client is None:
        return False
    questions = ([client, "info"], [client, "compose", "version"])
    return all(_succeeds(question) for question in questions)


def _succeeds(command: list[str]) -> bool:
    try:
        done = subprocess.run(  # noqa: S603  # the docker client that is on the PATH
            command, capture_output=True, check=False, timeout=_ENGINE_ANSWER_S
        )
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0
