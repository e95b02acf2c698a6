"""docker-compose.yml as Compose reads it: anchors merged, variables of `.env` filled in."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
import yaml

if TYPE_CHECKING:
    from pathlib import Path

VARIABLE = re.compile(r"\$\{(\w+)\}")


@pytest.fixture(scope="session")
def variables(pytestconfig: pytest.Config) -> dict[str, str]:
    """The variables of `.env`."""
    lines = (pytestconfig.rootpath / ".env").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


@pytest.fixture(scope="session")
def compose(pytestconfig: pytest.Config, variables: dict[str, str]) -> dict[str, Any]:
    """The whole file; a variable that `.env` lacks is an error, as no default stands beside it."""
    text = (pytestconfig.rootpath / "docker-compose.yml").read_text()
    found: dict[str, Any] = yaml.safe_load(VARIABLE.sub(lambda name: variables[name[1]], text))
    return found


@pytest.fixture(scope="session")
def services(compose: dict[str, Any]) -> dict[str, Any]:
    """Its services by name."""
    found: dict[str, Any] = compose["services"]
    return found


@pytest.fixture(scope="session")
def roles(services: dict[str, Any]) -> dict[str, Any]:
    """Those that run our image."""
    return {name: service for name, service in services.items() if "build" in service}


@pytest.fixture(scope="session")
def dockerfile(pytestconfig: pytest.Config) -> list[tuple[str, str]]:
    """The image's instructions: (word, rest), with continued lines joined."""
    text = (pytestconfig.rootpath / "docker" / "Dockerfile").read_text()
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    joined = re.sub(r"\\\n\s*", " ", "\n".join(lines))
    return [(line.split(" ", 1)[0], line.split(" ", 1)[1]) for line in joined.splitlines()]


@pytest.fixture
def root(pytestconfig: pytest.Config) -> Path:
    """The repository."""
    return pytestconfig.rootpath
