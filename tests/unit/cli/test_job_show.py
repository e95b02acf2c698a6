"""What `jobstream job show` prints of failures: where each was, and the last traceback whole."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from jobstream.cli.commands import job
from jobstream.operate.history import History, HistoryEntry
from jobstream.operate.job_events import Event

PLACE = ("shop.mail", 0, 1)
FIRST = HistoryEntry(
    2_000,
    "waits",
    "mail",
    PLACE,
    {"seq": 1, "attempt": 2, "error": "E", "frame": "shop.py:7 in send"},
    "Traceback …\n  the first\n",
)
LAST = HistoryEntry(
    3_000,
    "dead letter",
    "mail",
    PLACE,
    {"seq": 1, "attempt": 2, "error": "E", "frame": "shop.py:9 in send"},
    "Traceback …\n  the last\nE: \x1b[2J\n",
)


@pytest.fixture
def found() -> History:
    queued = HistoryEntry(1_000, "queued", "mail", PLACE, {"seq": 0, "attempt": 1})
    return History("j-1", None, [queued, FIRST, LAST])


def test_each_attempt_tells_its_place_and_the_last_its_traceback(
    found: History, capsys: pytest.CaptureFixture[str]
) -> None:
    vars(job)["_print"](found)

    told = capsys.readouterr().out
    assert "frame=shop.py:7 in send" in told
    assert "frame=shop.py:9 in send" in told
    assert "the first" not in told
    assert "\ntraceback of the last failure:\nTraceback …\n  the last\nE: \\x1b[2J\n" in told


def test_json_has_the_traceback_of_each_attempt_and_the_last(found: History) -> None:
    told: dict[str, Any] = vars(job)["_document"](found)

    assert told["traceback"] == LAST.traceback
    traces = [entry.get("traceback") for entry in told["timeline"]]
    assert traces == [None, FIRST.traceback, LAST.traceback]


def test_a_job_that_never_failed_has_none(capsys: pytest.CaptureFixture[str]) -> None:
    never = History("j-1", None, [HistoryEntry(1_000, "queued", "mail", PLACE, {"seq": 0})])

    vars(job)["_print"](never)

    assert "traceback" not in capsys.readouterr().out
    assert vars(job)["_document"](never)["traceback"] is None


def test_json_has_the_time_of_the_enqueue_in_utc(found: History) -> None:
    event = Event("send", {"enqueued_at": 1_790_000_000_123, "order_key": None}, {})

    told: dict[str, Any] = vars(job)["_document"](replace(found, event=event))

    assert told["meta"]["enqueued_at"] == "2026-09-21T14:13:20.123+00:00"


def test_a_job_of_a_schedule_names_it_and_its_tick(
    found: History, capsys: pytest.CaptureFixture[str]
) -> None:
    of_tick = replace(found, schedule="nightly", tick_ms=1_790_000_000_000)

    vars(job)["_print"](of_tick)

    told: dict[str, Any] = vars(job)["_document"](of_tick)
    assert "made by schedule nightly, tick 2026-09-21 " in capsys.readouterr().out
    assert (told["schedule"], told["scheduled_for"]) == (
        "nightly",
        "2026-09-21T14:13:20.000+00:00",
    )
    assert vars(job)["_document"](found)["schedule"] is None
