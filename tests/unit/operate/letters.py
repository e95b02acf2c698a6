"""A dead letter of which a test names only what matters to it."""

from __future__ import annotations

from jobstream.operate.open_letters import Letter
from jobstream_processors.core.headers import Carried


def letter(job_id: str = "j-1", **changes: object) -> Letter:
    carried = Carried(
        redrive=2,
        seq=5,
        attempt=8,
        delay_ms=9,
        due_ms=7,
        first_failed_ms=1,
        partition=3,
        error="shop.errors.Refused",
        message="no",
        frame="shop.py:7 in send",
        traceback="Traceback …",
        reason="exhausted",
        origin="shop.mail:3:17",
    )
    fields = {
        "queue": "mail",
        "id": job_id,
        "redrive": 2,
        "job_type": "send_receipt",
        "carried": carried,
        "died_ms": 1_000,
        "place": ("dead", 3, 40),
        "key": f"{job_id}:2".encode(),
    }
    return Letter(**(fields | changes))  # type: ignore[arg-type] # a test's shorthand
