"""Fixtures of every test: the brokers that users get, too. They start with the first who asks."""

import pytest

pytest_plugins = ["jobstream.broker.fixture"]


@pytest.fixture(scope="session")
def docker_compose_file(pytestconfig: pytest.Config) -> str:
    """Ours, where a Docker engine is there to read it."""
    return str(pytestconfig.rootpath / "docker-compose.yml")


@pytest.fixture(scope="session")
def docker_setup() -> list[str]:
    """Kafka alone: the rest of the stack would be built and started for nothing."""
    return ["up --wait kafka"]
