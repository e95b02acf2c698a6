"""The small programs about rules run as their pages say."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROGRAMS = sorted(path.stem for path in (ROOT / "examples" / "rules").glob("[a-z]*.py"))
LIMIT_S = 300


@pytest.mark.parametrize("program", PROGRAMS)
def test_it_runs(program: str) -> None:
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-m", f"examples.rules.{program}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=LIMIT_S,
    )

    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert ran.stdout, "it says what it shows"
