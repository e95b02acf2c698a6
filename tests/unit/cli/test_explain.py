"""`jobstream explain` in words: one sentence for each way in which a job stands or has ended."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from jobstream.cli.control_text import TIMES
from jobstream.cli.output import when
from jobstream.cli.printable import one_line
from jobstream.operate.history import QUEUED, WAITING, HistoryEntry
from jobstream.operate.job_events import Event
from jobstream.operate.why import Ahead, Why
from jobstream.operate.why_words import WAITS_FOR, AskedWorkers, sentence
from jobstream_processors.core.orders import (
    BREAKER_OPENED,
    NO_LIMITS,
    PAUSE_QUEUE,
    Order,
)

AT = ("shop.mail", 3, 41)
KEYS = {"unique_key": "o-1", "limit_key": "c-7", "fair_key": "t-9"}
EVENT = Event("send", KEYS, {})
NOW_MS = 1_790_000_000_000
PAUSE = Order(PAUSE_QUEUE, "mail", "ann@host", "provider is down", NOW_MS, NOW_MS + 1, NO_LIMITS)
OPENED = Order(BREAKER_OPENED, "smtp", "host:7", "8 of 10 failed", NOW_MS, NOW_MS + 1, NO_LIMITS)


def entry(what: str, **detail: Any) -> HistoryEntry:  # noqa: ANN401 - as in a history
    return HistoryEntry(NOW_MS, what, "mail", AT, detail)


def told(why: Why, run: dict[str, Any] | None = None) -> str:
    text = one_line(sentence("j-1", EVENT, why, run, times=TIMES), None)
    start = "job j-1 (send, queue mail) "
    assert text.startswith(start)
    assert text.endswith(".")
    assert "\n" not in text
    return text.removeprefix(start).removesuffix(".")


def on_queue(ahead: Ahead, **more: Any) -> Why:  # noqa: ANN401 - fields of it
    return Why(QUEUED, entry("queued"), 1, ahead=ahead, **{"workers": 2, **more})


def ahead(jobs: int, **more: Any) -> Ahead:  # noqa: ANN401 - fields of it
    given = {"of_key": None, "seconds": None, "may_run": False, "settled": False, **more}
    return Ahead(jobs, **{"is_timed": True, **given})


SINCE = f"on the queue since {when(NOW_MS)}"
TAKEN = "a worker has taken it up"
NEXT = f"is the next of its partition, {SINCE}"
GONE = (
    "was finished by a worker at shop.mail:3:41, and the log does not tell any more how it ended: "
    "rows live for the dedup window"
)
BEHIND = "is behind 1,200 jobs of its partition"


@pytest.mark.parametrize(
    ("why", "expected"),
    [
        (on_queue(ahead(1_200, seconds=42.0)), f"{BEHIND} (about 42s), {SINCE}"),
        (on_queue(ahead(1_200)), f"{BEHIND} (none was finished), {SINCE}"),
        (on_queue(ahead(1_200, is_timed=False)), f"{BEHIND}, {SINCE}"),
        (
            on_queue(ahead(1_200, seconds=42.0, of_key=3)),
            f"{BEHIND} (about 42s, 3 of them with its order key), {SINCE}",
        ),
        (on_queue(ahead(0)), f"{NEXT}"),
        (
            on_queue(ahead(0, may_run=True)),
            f"{NEXT}; {TAKEN}, and may be running it, and 2 of 2 workers are not on this machine",
        ),
        (on_queue(ahead(0), workers=0), f"{NEXT}; no worker runs"),
        (
            on_queue(ahead(0), orders=(PAUSE,)),
            f"{NEXT}; queue mail is paused until {when(NOW_MS + 1)}, by ann@host: provider is down",
        ),
        (
            Why(QUEUED, entry("queued"), 3, NOW_MS + 5_000, in_place=True, ahead=ahead(0)),
            f"waits in place with its order key held until {when(NOW_MS + 5_000)}, for attempt 3",
        ),
        (
            on_queue(ahead(0, settled=True)),
            GONE,
        ),
    ],
)
def test_on_its_queue(why: Why, expected: str) -> None:
    assert told(why) == expected


IN_PLACE = f"waits in place with its order key held until {when(NOW_MS)}, for attempt 1"


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (AskedWorkers(2), f"{TAKEN}, and none of 2 ran it when they were asked"),
        (AskedWorkers(2, told_all=False), f"{TAKEN}, and may be running it"),
        (
            AskedWorkers(1),
            f"{TAKEN}, and may be running it, and 1 of 2 workers is not on this machine",
        ),
    ],
)
def test_what_is_not_known_of_a_run_is_said(asked: AskedWorkers, expected: str) -> None:
    queued, parked = on_queue(ahead(0, may_run=True)), on_queue(ahead(0), due_ms=NOW_MS)
    parked = replace(parked, in_place=True, is_due=True)

    assert sentence("j-1", EVENT, queued, None, asked=asked, times=TIMES).endswith(
        f"{NEXT}; {expected}."
    )
    over = f"{IN_PLACE}; that is over: {expected}."
    assert sentence("j-1", EVENT, parked, None, asked=asked, times=TIMES).endswith(over)


def test_the_one_worker_that_was_asked_is_told_of_alone() -> None:
    queued = replace(on_queue(ahead(0, may_run=True)), workers=1)

    said = sentence("j-1", EVENT, queued, None, asked=AskedWorkers(1), times=TIMES)

    assert said.endswith(f"{TAKEN}, and did not run it when it was asked.")


def on_rung(**detail: Any) -> Why:  # noqa: ANN401 - headers
    return Why(WAITING, entry("waits", rung="10m", **detail), 2, NOW_MS + 9)


UNTIL = f"waits on rung 10m until {when(NOW_MS + 9)}"


def test_on_the_ladder_for_a_retry_or_a_time() -> None:
    failed = on_rung(error="smtplib.SMTPException", frame="shop.py:7 in send")

    assert told(failed) == f"{UNTIL} for attempt 2: smtplib.SMTPException at shop.py:7 in send"
    assert told(on_rung()) == f"{UNTIL}: it is to run later"


@pytest.mark.parametrize("reason", [*WAITS_FOR, "a_word_of_a_newer_version"])
def test_on_the_ladder_until_its_turn(reason: str) -> None:
    text = told(on_rung(waits=reason, waits_since_ms=NOW_MS - 50))

    assert text.startswith(f"{UNTIL}, as ")
    assert f"[{reason}]" in text
    assert f", since {when(NOW_MS - 50)}" in text


@pytest.mark.parametrize(
    ("reason", "ending"),
    [
        ("unique", "; its unique key is 'o-1'"),
        ("rate", "; its limit key is 'c-7'"),
        ("concurrency", "; its limit key is 'c-7'"),
        ("fair", "; its tenant is 't-9'"),
        ("breaker", ""),
    ],
)
def test_the_key_is_named_that_it_waits_for(reason: str, ending: str) -> None:
    text = told(on_rung(waits=reason, waits_since_ms=NOW_MS))

    assert text.endswith(f"since {when(NOW_MS)}{ending}")


@pytest.mark.parametrize("reason", [*WAITS_FOR, "a_word_of_a_newer_version"])
def test_what_a_worker_keeps_in_memory_is_believed_before_the_log(reason: str) -> None:
    held = {"worker": "host:7", "for": reason, "since_ms": NOW_MS, "id": "j-1"}

    text = sentence("j-1", EVENT, on_queue(ahead(5)), None, held, times=TIMES)

    start = f"job j-1 (send, queue mail) waits in worker host:7, as {WAITS_FOR.get(reason, reason)}"
    assert text.startswith(f"{start} [{reason}], since {when(NOW_MS)}")


def test_another_job_with_its_unique_key_is_named() -> None:
    why = on_rung(waits="unique")
    held = Why(why.state, why.told, 2, why.due_ms, same_unique="j-0")

    assert told(held).endswith("; job j-0 has it, too, and is not finished")


def test_a_job_that_cannot_be_read_has_no_type() -> None:
    assert sentence("j-1", None, on_rung(), None, times=TIMES).startswith(
        "job j-1 (type unknown, queue mail)"
    )


def test_a_breaker_is_named_only_as_one_that_is_open() -> None:
    why = on_rung(waits="breaker", waits_since_ms=NOW_MS)

    assert "open now" not in told(why)
    named = Why(why.state, why.told, 2, why.due_ms, breakers=(OPENED,))
    assert f"(open now: smtp since {when(NOW_MS)}, by host:7)" in told(named)


@pytest.mark.parametrize(
    ("why", "expected"),
    [
        (Why("done", entry("row", state="done"), 1), "is done since {}, after 1 attempt"),
        (
            Why("dead", entry("row", state="dead", detail="exhausted"), 8, letter_is_open=True),
            "is dead since {}: exhausted, after 8 attempts; its dead letter is open",
        ),
        (
            Why("?", entry("dead letter", reason="bad_headers"), 1, letter_is_open=False),
            "is dead since {}: bad_headers, after 1 attempt; its dead letter is closed",
        ),
        (
            Why("cancelled", entry("row", state="cancelled", detail="by ann: twice"), 1),
            "is cancelled since {}: by ann: twice",
        ),
        (
            Why("expired", entry("row", detail="expired"), 1),
            "is expired since {}: it did not begin in time",
        ),
        (Why("duplicate", entry("row", detail="of j-0"), 1), "is a duplicate since {} of j-0"),
    ],
)
def test_how_it_ended(why: Why, expected: str) -> None:
    assert told(why).startswith(expected.format(when(NOW_MS)))


def test_a_worker_that_says_it_runs_it_is_believed_first() -> None:
    run = {"worker": "host:7", "seconds": 90.0, "attempt": 2, "id": "j-1"}

    text = told(on_queue(ahead(5)), run)

    assert text == "runs on host:7 for 90s now, attempt 2"


def test_what_came_with_a_job_is_made_harmless() -> None:
    text = told(on_rung(error="E\x1b[2J\nline"))

    assert "\x1b" not in text
