"""The suite of the Django side, in a process of its own: Django is set up once for a process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
SUITE = Path(__file__).parent / "django_suite"
LIMIT_S = 300
# A plugin: a conftest.py would be loaded with the folder, and with it Django's time zone.
PLUGIN = "tests.unit.services.django_suite.in_django"


@pytest.mark.parametrize("suite", sorted(path.stem for path in SUITE.glob("*_suite.py")))
def test_it_passes(suite: str) -> None:
    options = ["-q", "-W", "error", "-p", "no:cacheprovider", "-c", "/dev/null", "--rootdir=."]
    path = SUITE / f"{suite}.py"

    ran = subprocess.run(
        [sys.executable, "-m", "pytest", *options, "-p", PLUGIN, str(path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=LIMIT_S,
    )

    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert " passed" in ran.stdout
