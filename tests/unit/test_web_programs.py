"""The programs of the pages about web frameworks: each with its own tests, as a user runs them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FRAMEWORKS = ["fastapi", "flask", "django"]
LIMIT_S = 300


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_its_tests_pass(framework: str) -> None:
    # A process of its own: Django is set up once for all that runs beside it.
    options = ["-q", "-W", "error", "-p", "no:cacheprovider", "-c", "/dev/null", "--rootdir=."]

    ran = subprocess.run(
        [sys.executable, "-m", "pytest", *options, f"examples/web/test_{framework}.py"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=LIMIT_S,
    )

    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_the_worker_loads_no_framework() -> None:
    program = "import sys, examples.web.jobs; print(*sys.modules)"

    ran = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )

    loaded = {name.partition(".")[0] for name in ran.stdout.split()}
    assert "jobstream" in loaded
    assert not loaded & {*FRAMEWORKS, "starlette", "pydantic", "werkzeug"}
