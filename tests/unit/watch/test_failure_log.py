"""Each failed run is one line that tells what, where and what follows; a storm is a few lines."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pytest

from jobstream_processors.core.outcome import (
    DONE,
    Again,
    Cancelled,
    Crashed,
    DeclaredDead,
    Interrupted,
    Raised,
    Spot,
    TimedOut,
    Unstarted,
)
from jobstream_processors.job_types import ASYNC, PROCESS
from jobstream_processors.watch.reports import Reports
from jobstream_processors.watch.thinning import INTERVAL_MS, WHOLE_MAX

if TYPE_CHECKING:
    from tests.unit.shop import Works

    from jobstream_processors.core.outcome import Outcome

SPOT = Spot("shop.py:7 in send", "Traceback …\nOSError: away")
FAILED = Raised("builtins.OSError", "away", ("builtins.OSError",), SPOT)
WARNING, ERROR, INFO = logging.WARNING, logging.ERROR, logging.INFO
EVENTS = {"job_failed", "job_dead", "child_not_started", "retry_by_handler"}


@pytest.fixture(autouse=True)
def _info(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(INFO)


def lines(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    return [vars(record) for record in caplog.records if record.message in EVENTS]


def fail(works: Works, outcome: Outcome, times: int = 1, job: str = "send") -> None:
    lane = works.lane()
    for _ in range(times):
        record = works.shop.send(f"j-{len(works.hand.started)}", job)
        works.accept(lane, record)
        works.end(works.hand.started[-1], outcome)


@pytest.mark.parametrize(
    ("outcome", "told"),
    [
        (FAILED, ("job_failed", WARNING, "builtins.OSError", "away", SPOT.frame)),
        (
            TimedOut(30, SPOT),
            ("job_failed", WARNING, "jobstream.Timeout", "still running after 30 ms", SPOT.frame),
        ),
        (Crashed("exit 7"), ("job_failed", WARNING, "jobstream.Crashed", "exit 7", None)),
        (
            Unstarted("child_not_started", "no memory"),
            ("child_not_started", WARNING, "jobstream.ChildNotStarted", "no memory", None),
        ),
        (
            Again(5_000, uses_attempt=True, reason="busy", spot=SPOT),
            ("retry_by_handler", INFO, "jobstream.RetryAfter", "busy", SPOT.frame),
        ),
    ],
)
def test_a_run_that_comes_again_is_one_line_without_its_traceback(
    works: Works,
    caplog: pytest.LogCaptureFixture,
    outcome: Outcome,
    told: tuple[str, int, str, str, str | None],
) -> None:
    fail(works, outcome)

    (line,) = lines(caplog)
    assert (line["message"], line["levelno"], line["error"], line["why"], line.get("frame")) == told
    assert (line["job"], line["job_id"], line["attempt"], line["attempts"]) == ("send", "j-0", 1, 3)
    assert line["retry_in_s"] > 0
    assert line["exc_text"] is None


def test_a_death_is_an_error_with_its_reason_and_its_traceback(
    works: Works, caplog: pytest.LogCaptureFixture
) -> None:
    fail(works, DeclaredDead("dead_by_handler", "gone", SPOT))

    (line,) = lines(caplog)
    assert (line["message"], line["levelno"]) == ("job_dead", ERROR)
    assert (line["reason"], line["why"], line["frame"]) == ("dead_by_handler", "gone", SPOT.frame)
    assert line["exc_text"] == SPOT.traceback
    assert SPOT.traceback in caplog.text
    assert "retry_in_s" not in line


@pytest.mark.parametrize("how", ["debug", "asked"])
def test_each_traceback_is_there_at_debug_level_or_when_asked_for(
    works: Works, caplog: pytest.LogCaptureFixture, how: str
) -> None:
    if how == "debug":
        caplog.set_level(logging.DEBUG)
    else:
        reports = Reports(works.shop.clock.monotonic_ms, tracebacks=True)
        works.engine.run_on({ASYNC: works.hand, PROCESS: works.child}, reports)

    fail(works, FAILED)

    (line,) = lines(caplog)
    assert line["exc_text"] == SPOT.traceback


@pytest.mark.parametrize(
    "outcome",
    [DONE, Cancelled("no"), Again(5_000, uses_attempt=False, reason="early"), Interrupted()],
)
def test_what_is_no_failure_is_no_line(
    works: Works, caplog: pytest.LogCaptureFixture, outcome: Outcome
) -> None:
    fail(works, outcome)

    assert lines(caplog) == []


def test_a_storm_is_a_few_lines_then_one_per_interval_with_its_count(
    works: Works, caplog: pytest.LogCaptureFixture
) -> None:
    fail(works, FAILED, 300)
    assert len(lines(caplog)) == WHOLE_MAX

    works.pass_ms(INTERVAL_MS)

    *_, line = lines(caplog)
    assert len(lines(caplog)) == WHOLE_MAX + 1
    assert (line["message"], line["count"], line["in_s"]) == ("job_failed", 300 - WHOLE_MAX, 10)
    assert (line["job_id"], line["error"]) == (f"j-{WHOLE_MAX}", "builtins.OSError")


def test_deaths_are_summed_up_by_themselves_and_their_letters_are_all_there(
    works: Works, caplog: pytest.LogCaptureFixture
) -> None:
    fail(works, FAILED, WHOLE_MAX + 1)
    fail(works, DeclaredDead("dead_by_handler", "gone", SPOT), 50)
    works.settle()
    dead = [line for line in lines(caplog) if line["message"] == "job_dead"]
    assert len(dead) == WHOLE_MAX

    works.pass_ms(INTERVAL_MS)

    counted = {line["message"]: line["count"] for line in lines(caplog) if "count" in line}
    assert counted == {"job_failed": 1, "job_dead": 50 - WHOLE_MAX}
    assert len(works.shop.letters()) == 50


@pytest.mark.parametrize("other", ["job", "error", "frame"])
def test_another_type_error_or_place_is_another_kind(
    works: Works, caplog: pytest.LogCaptureFixture, other: str
) -> None:
    fail(works, FAILED, 20)
    kinds = {
        "job": FAILED,
        "error": Raised("builtins.KeyError", "away", (), SPOT),
        "frame": Raised("builtins.OSError", "away", (), Spot("shop.py:8 in send")),
    }

    fail(works, kinds[other], job="other" if other == "job" else "send")

    assert len(lines(caplog)) == WHOLE_MAX + 1


def test_what_was_counted_is_written_when_the_worker_ends(
    works: Works, caplog: pytest.LogCaptureFixture
) -> None:
    fail(works, FAILED, WHOLE_MAX + 7)

    works.engine.close()

    assert lines(caplog)[-1]["count"] == 7


def test_a_failure_that_nobody_reads_costs_no_line(
    works: Works, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL, "jobstream.worker")

    fail(works, FAILED, 20)
    works.pass_ms(INTERVAL_MS)

    assert lines(caplog) == []
