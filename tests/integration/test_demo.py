"""The demo, with fewer files: as a user starts it, judged by its exit code and its last line."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

SECONDS_MAX = 240
FILES = 150
BROKEN_OF_OURS = 5
LAST_LINE = re.compile(
    r"demo: enqueued=(\d+) done=(\d+) dead=(\d+) lost=(\d+) doubled=(\d+) seconds=(\d+)"
)


@pytest.mark.kafka
def test_demo_loses_nothing_when_a_worker_is_killed(
    pytestconfig: pytest.Config, tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "examples.stdlib_index", "--files", str(FILES)]
    ran = subprocess.run(
        [*command, "--keep", str(tmp_path)],
        cwd=pytestconfig.rootpath,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=SECONDS_MAX,
        check=False,
    )

    assert ran.returncode == 0, ran.stdout
    said = ran.stdout.splitlines()
    found = [match for line in said if (match := LAST_LINE.fullmatch(line))]
    assert len(found) == 1, ran.stdout
    enqueued, done, dead, lost, doubled, _ = map(int, found[0].groups())
    assert enqueued > FILES
    assert done + dead == enqueued
    assert dead >= BROKEN_OF_OURS
    assert (lost, doubled) == (0, 0)
    assert any("kill -9 of worker" in line for line in said)
    assert any("SyntaxError" in line and "permanent" in line for line in said)
