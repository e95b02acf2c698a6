"""The example of clicks with kills in it: each session has one job, whatever the agent has seen."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.kafka
LIMIT_S = 1_000.0


def test_each_session_has_one_job_though_the_agent_is_killed(pytestconfig: pytest.Config) -> None:
    root: Path = pytestconfig.rootpath
    ran = subprocess.run(
        [sys.executable, "-m", "examples.clicks", "--users", "12"],
        cwd=root, capture_output=True, text=True, timeout=LIMIT_S, check=False,
    )  # fmt: skip

    told = re.search(r"sessions=(\d+) jobs=(\d+) lost=0 doubled=0 kills=2", ran.stdout)
    assert ran.returncode == 0, ran.stdout + ran.stderr[-4_000:]
    assert told is not None, ran.stdout
    assert int(told[1]) == int(told[2]) >= 36
