"""A restore tells how far it is, and needs rocksdict to be there."""

from __future__ import annotations

import subprocess
import sys

import pytest

from jobstream.dedup.folder import ttl_seconds
from jobstream.dedup.restore import Progress

PLACE = ("jobs.mail.dedup", 3)
HOUR_MS = 3_600_000


def test_progress_is_told_once_a_second_and_at_the_end() -> None:
    now_s, told = [0.0], []
    progress = Progress(lambda *what: told.append(what), lambda: now_s[0])

    for at, rows, remaining in [(0.5, 1, 9), (1.0, 2, 8), (1.9, 3, 7), (2.0, 4, 6), (2.1, 10, 0)]:
        now_s[0] = at
        progress.step(PLACE, rows, remaining)

    assert told == [(PLACE, 2, 8), (PLACE, 4, 6), (PLACE, 10, 0)]


@pytest.mark.parametrize(
    ("window_ms", "seconds"),
    [(24 * HOUR_MS, 36 * 3600), (HOUR_MS, 2 * 3600), (1000, 3601)],
)
def test_rows_live_for_the_window_and_its_slack(window_ms: int, seconds: int) -> None:
    assert ttl_seconds(window_ms) == seconds


def test_without_rocksdict_the_error_names_the_extra() -> None:
    code = "import sys; sys.modules['rocksdict'] = None; import jobstream.dedup.table"

    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert "TableUnavailable: the dedup table needs rocksdict: pip install 'jobstream[worker]'" in (
        ran.stderr
    )
