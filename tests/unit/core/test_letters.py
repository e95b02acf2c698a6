"""Dead letters: redriven, and closed when their job went on."""

from __future__ import annotations

import pytest

from jobstream_processors.core.headers import Carried
from jobstream_processors.core.known import UNKNOWN, of_row
from jobstream_processors.core.letters import is_stale, redriven


def test_redrive_starts_anew_and_keeps_where_it_came_from() -> None:
    letter = Carried(
        redrive=1, seq=7, attempt=8, first_failed_ms=5, partition=3, snoozes=2, scheduled_ms=4,
        schedule="nightly",
        error="E", message="m", reason="attempts_exhausted", origin="q:3:9",
        frame="shop.py:7 in send", traceback="Traceback …",
    )  # fmt: skip

    assert redriven(letter) == Carried(
        redrive=2, partition=3, scheduled_ms=4, schedule="nightly", origin="q:3:9"
    )


@pytest.mark.parametrize(
    ("kind", "state", "redrive", "stale"),
    [
        ("job", "done", 0, True),
        ("job", "cancelled", 1, True),
        ("job", "expired", 1, True),
        ("job", "dead", 1, False),
        ("job", "dead", 2, True),
        ("job", "cancelled", 0, False),
        ("moved", "", 1, False),
        ("moved", "", 2, True),
        ("parked", "", 2, True),
        ("crash", "", 2, True),
        ("crash", "", 1, False),
    ],
)
def test_letter_of_redrive_one(kind: str, state: str, redrive: int, *, stale: bool) -> None:
    assert is_stale(of_row(kind, state, (redrive, 0, 1)), 1) is stale


def test_letter_of_an_unknown_job_stays_open() -> None:
    assert not is_stale(UNKNOWN, 0)
