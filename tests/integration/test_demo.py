"""The demo, with fewer files: as a user starts it, judged by its exit code and its last line."""

from __future__ import annotations

import re
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from examples.stdlib_index.watch import retries
from tests.harness.waiting import wait_until

from jobstream.testing.ledger import Ledger

if TYPE_CHECKING:
    from pathlib import Path

SECONDS_MAX = 900
FILES = 150
BROKEN_OF_OURS = 5
LAST_LINE = re.compile(
    r"demo: enqueued=(\d+) done=(\d+) dead=(\d+) lost=(\d+) doubled=(\d+) seconds=(\d+)"
)
RETRIED = re.compile(r"\W*retried\W+(\d+)\W")
"""Its row in the table of jobs."""


@pytest.mark.kafka
def test_demo_loses_nothing_when_a_worker_is_killed(
    pytestconfig: pytest.Config, tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "examples.stdlib_index", "--files", str(FILES)]
    with subprocess.Popen(
        [*command, "--keep", str(tmp_path)],
        cwd=pytestconfig.rootpath,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as running:
        try:
            keep_locked_until_retried(tmp_path, running)
            printed, _ = running.communicate(timeout=SECONDS_MAX)
        finally:
            if running.poll() is None:
                running.send_signal(signal.SIGINT)  # so that it ends its broker and its workers
                running.communicate(timeout=SECONDS_MAX)

    assert running.returncode == 0, printed
    said = printed.splitlines()
    found = [match for line in said if (match := LAST_LINE.fullmatch(line))]
    assert len(found) == 1, printed
    enqueued, done, dead, lost, doubled, _ = map(int, found[0].groups())
    assert enqueued > FILES
    assert done + dead == enqueued
    assert dead >= BROKEN_OF_OURS
    (retried,) = (int(match[1]) for line in said if (match := RETRIED.match(line)))
    assert retried >= 1
    assert (lost, doubled) == (0, 0)
    assert any("kill -9 of worker" in line for line in said)
    assert any("SyntaxError" in line and "permanent" in line for line in said)


def keep_locked_until_retried(folder: Path, running: subprocess.Popen[str]) -> None:
    """Be the other writer of the index, so that some job fails for the moment, by no chance."""
    ledger, index = Ledger(folder / "ledger"), folder / "index.sqlite"

    def over() -> bool:
        return running.poll() is not None

    wait_until(lambda: list(ledger) or over(), "a job runs", limit_s=SECONDS_MAX)
    if over():
        return
    with closing(sqlite3.connect(index, SECONDS_MAX, isolation_level=None)) as connection:
        connection.execute("begin immediate")
        wait_until(lambda: retries(ledger) or over(), "a job is retried", limit_s=SECONDS_MAX)
        connection.execute("rollback")
