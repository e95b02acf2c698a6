"""The command-line tools of Prometheus, where they are installed."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import Protocol

import pytest


class Tool(Protocol):
    """Run a tool and return its exit code and what it said."""

    def __call__(self, name: str, *arguments: str) -> tuple[int, str]: ...


@pytest.fixture(scope="session")
def tool() -> Tool:
    """Runs promtool or amtool. Without it the test is skipped; it fails where CI has them."""

    def run(name: str, *arguments: str) -> tuple[int, str]:
        binary = shutil.which(name)
        if binary is None:
            message = f"{name} is not installed: run .ci/install"
            if os.environ.get("CI"):
                pytest.fail(message)
            pytest.skip(message)
        ran = subprocess.run(
            [binary, *arguments], capture_output=True, text=True, timeout=60, check=False
        )
        return ran.returncode, ran.stdout or ran.stderr

    return run
