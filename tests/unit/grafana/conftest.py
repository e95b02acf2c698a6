"""The command-line tools of Prometheus, where they are installed."""

from __future__ import annotations

import subprocess
from typing import Protocol

import pytest
from tests.harness.installed import program


class Tool(Protocol):
    """Run a tool and return its exit code and what it said."""

    def __call__(self, name: str, *arguments: str) -> tuple[int, str]: ...


@pytest.fixture(scope="session")
def tool() -> Tool:
    """Runs promtool or amtool. Without it the test is skipped; it fails where CI has them."""

    def run(name: str, *arguments: str) -> tuple[int, str]:
        ran = subprocess.run(
            [program(name), *arguments], capture_output=True, text=True, timeout=300, check=False
        )
        return ran.returncode, ran.stdout or ran.stderr

    return run
