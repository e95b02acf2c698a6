"""The services of docker-compose.yml that run our image, with their commands as they stand there.

So what is seen here is what a container does. It starts nothing.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from pathlib import Path

_VARIABLE = re.compile(r"\$\{(\w+)\}")


@dataclass(frozen=True, slots=True)
class Service:
    """One service that runs our image."""

    name: str
    command: tuple[str, ...]
    """Entry point and arguments, run by the Python that runs this."""
    environment: Mapping[str, str]
    """What the image and the service set, without what belongs to the place it runs in."""
    runs_once: bool
    """It ends by itself, before the others start."""


def services(root: Path) -> list[Service]:
    """Those of the repository at `root` that start unasked, in the order of the file."""
    variables = _variables((root / ".env").read_text())
    text = (root / "docker-compose.yml").read_text()
    composed = yaml.safe_load(_VARIABLE.sub(lambda found: variables[found[1]], text))
    return [
        Service(
            name,
            (sys.executable, *_entry(service), *service["command"]),
            service["environment"],
            runs_once=service.get("healthcheck") == {"disable": True},
        )
        for name, service in composed["services"].items()
        if "build" in service and "profiles" not in service
    ]


def app_of(root: Path) -> str:
    """The MODULE:APP that the stack runs."""
    return _variables((root / ".env").read_text())["JOBSTREAM_APP"]


def _entry(service: dict[str, Any]) -> tuple[str, ...]:
    """The entry point but for its first word, which is a program of the image."""
    entry = service.get("entrypoint", ["jobstream"])
    return ("-m", "jobstream") if entry == ["jobstream"] else tuple(entry[1:])


def _variables(text: str) -> dict[str, str]:
    lines = (line for line in text.splitlines() if line and not line.startswith("#"))
    return {name: value for name, _, value in (line.partition("=") for line in lines)}
