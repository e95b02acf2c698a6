"""Failures are told one after the other on a thread of their own; no callback can do harm."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Any

import pytest

from jobstream_processors.core.decide import (
    LEAVE,
    UNSTARTED_MAX,
    Case,
    CountCrash,
    DeadLetter,
    End,
    Retry,
    RetryInPlace,
    decide,
)
from jobstream_processors.core.headers import Carried
from jobstream_processors.core.known import Known
from jobstream_processors.core.letters import FINGERPRINT, fingerprint_of, letter_headers
from jobstream_processors.core.outcome import (
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
from jobstream_processors.core.policy import Policy
from jobstream_processors.core.retry import Backoff
from jobstream_processors.current import job_fields
from jobstream_processors.job_types import ASYNC, PROCESS
from jobstream_processors.watch import on_failure
from jobstream_processors.watch.on_failure import WAITING_MAX, Failures, failure_of
from jobstream_processors.watch.reports import Reports

if TYPE_CHECKING:
    from tests.unit.shop import Shop, Works

    from jobstream_processors.core.decide import Decision
    from jobstream_processors.core.outcome import Outcome
    from jobstream_processors.delivery import Delivery
    from jobstream_processors.failure import Failure

LIMIT_S = 120.0
RAISED = Raised(
    "builtins.OSError", "away", ("builtins.OSError",), Spot("shop.py:7 in send", "Traceback …")
)
RETRY = Retry(Carried(attempt=2, delay_ms=5_000))


@pytest.fixture
def delivery(shop: Shop) -> Delivery:
    (made,) = shop.deliver(shop.lane(), shop.send("j-1"))
    return made


@pytest.mark.parametrize(
    ("outcome", "decision", "told"),
    [
        (RAISED, RETRY, ("builtins.OSError", "away", "retry", "", 5_000)),
        (RAISED, RetryInPlace(2, 70), ("builtins.OSError", "away", "retry", "", 70)),
        (
            RAISED,
            DeadLetter(Carried(reason="permanent", error="builtins.OSError", message="away")),
            ("builtins.OSError", "away", "dead", "permanent", None),
        ),
        (
            TimedOut(30),
            RETRY,
            ("jobstream.Timeout", "still running after 30 ms", "retry", "", 5_000),
        ),
        (
            Crashed("exit 7"),
            CountCrash(1, 9),
            ("jobstream.Crashed", "exit 7", "retry", "", 9),
        ),
        (
            DeclaredDead("dead_by_handler", "gone"),
            DeadLetter(Carried(reason="dead_by_handler", message="gone")),
            ("jobstream.dead_by_handler", "gone", "dead", "dead_by_handler", None),
        ),
        (
            Again(5, uses_attempt=True, reason="busy"),
            DeadLetter(
                Carried(reason="attempts_exhausted", error="jobstream.RetryAfter", message="busy")
            ),
            ("jobstream.RetryAfter", "busy", "dead", "attempts_exhausted", None),
        ),
    ],
)
def test_a_failed_run_is_told_with_what_follows(
    delivery: Delivery, outcome: Outcome, decision: Decision, told: tuple[object, ...]
) -> None:
    found = failure_of(delivery, outcome, decision)

    assert found is not None
    shown = (found.error, found.message, found.decision, found.reason, found.retry_in_ms)
    assert shown == told
    assert found.will_retry is (told[2] == "retry")
    assert (found.job_id, found.job, found.queue, found.attempt) == ("j-1", "send", "mail", 1)


@pytest.mark.parametrize(
    "outcome",
    [
        RAISED,
        TimedOut(30, RAISED.spot),
        DeclaredDead("dead_by_handler", "gone", RAISED.spot),
        Again(5, uses_attempt=True, reason="busy", spot=RAISED.spot),
        Unstarted("handler_not_importable", "no module", RAISED.spot),
    ],
)
def test_the_traceback_is_the_one_that_the_dead_letter_keeps(
    delivery: Delivery, outcome: Outcome
) -> None:
    only = Policy(Backoff(attempts=1))
    case = Case("j-1", Carried(), only, 0, 1_000, unstarted=UNSTARTED_MAX)

    decision = decide(case, outcome)

    found = failure_of(delivery, outcome, decision)
    assert isinstance(decision, DeadLetter)
    assert found is not None
    assert found.traceback == decision.carried.traceback == RAISED.spot.traceback


@pytest.mark.parametrize(
    ("outcome", "decision"),
    [
        (Again(5, uses_attempt=True, reason="busy"), RETRY),
        (Again(5, uses_attempt=False, reason="early"), RetryInPlace(1, 5)),
        (Cancelled("unwanted"), End("cancelled", "unwanted")),
        (Interrupted(), LEAVE),
    ],
)
def test_what_the_handler_wanted_is_no_failure(
    delivery: Delivery, outcome: Outcome, decision: Decision
) -> None:
    assert failure_of(delivery, outcome, decision) is None


def test_callbacks_hear_it_in_order_and_one_that_raises_keeps_none_away(
    delivery: Delivery, caplog: pytest.LogCaptureFixture
) -> None:
    heard: list[tuple[str, str, str]] = []

    def first(_: Failure) -> None:
        message = "tracker is away"
        raise OSError(message)

    def second(failure: Failure) -> None:
        name = threading.current_thread().name
        heard.append((failure.message, name, str(job_fields()["job_id"])))

    failures = Failures([first, second])
    failures.tell(delivery, RAISED, RETRY)
    failures.tell(delivery, Cancelled("unwanted"), End("cancelled", ""))
    failures.tell(delivery, TimedOut(5), RETRY)
    with caplog.at_level(logging.ERROR):
        failures.close(LIMIT_S)

    assert [message for message, *_ in heard] == ["away", "still running after 5 ms"]
    assert {(thread, job_id) for _, thread, job_id in heard} == {("jobstream-failures", "j-1")}
    assert [record.message for record in caplog.records] == ["on_failure_raised"] * 2


def test_the_fingerprint_is_found_on_the_thread_that_calls_and_is_that_of_the_letter(
    delivery: Delivery, monkeypatch: pytest.MonkeyPatch
) -> None:
    found_by, heard = set(), list[Any]()

    def found(job_type: str, carried: Carried) -> str:
        found_by.add(threading.current_thread().name)
        return fingerprint_of(job_type, carried)

    monkeypatch.setattr(on_failure, "fingerprint_of", found)
    # Headers hold less of it than a fingerprint is made of.
    died = Carried(reason="permanent", error="builtins.OSError", message="ä" * 700 + " at 7")
    failures = Failures([heard.append])
    failures.tell(delivery, RAISED, DeadLetter(died))
    failures.close(LIMIT_S)

    written = dict(letter_headers("send", died, ""))
    assert [failure.fingerprint.encode() for failure in heard] == [written[FINGERPRINT]]
    assert found_by == {"jobstream-failures"}


def test_a_slow_callback_holds_up_nobody_and_what_does_not_fit_is_counted(
    delivery: Delivery, caplog: pytest.LogCaptureFixture
) -> None:
    inside, go_on = threading.Event(), threading.Event()
    heard: list[Failure] = []

    def slow(failure: Failure) -> None:
        inside.set()
        assert go_on.wait(LIMIT_S)
        heard.append(failure)

    failures = Failures([slow])
    failures.tell(delivery, RAISED, RETRY)
    assert inside.wait(LIMIT_S)
    for _ in range(WAITING_MAX + 3):
        failures.tell(delivery, RAISED, RETRY)
    failures.close(0.0)  # gives up at once: nothing fits, and nobody reads
    go_on.set()
    with caplog.at_level(logging.WARNING):
        failures.close(LIMIT_S)

    assert len(heard) == WAITING_MAX + 1
    (warned,) = [record for record in caplog.records if record.message == "failures_not_told"]
    assert vars(warned)["failures"] == 3


def test_nothing_is_started_before_the_first_failure(delivery: Delivery) -> None:
    before = set(threading.enumerate())
    failures = Failures([print])
    failures.tell(delivery, Interrupted(), LEAVE)
    failures.close()

    begun = set(threading.enumerate()) - before
    assert not [t for t in begun if t.name == "jobstream-failures"]


def test_a_job_dead_without_a_run_is_told_too(
    works: Works, caplog: pytest.LogCaptureFixture
) -> None:
    told: list[Failure] = []

    def failed(delivery: Delivery, outcome: Outcome | None, decision: Decision) -> None:
        failure = failure_of(delivery, outcome, decision)
        assert failure is not None
        told.append(failure)

    reports = Reports(works.shop.clock.monotonic_ms, failed)
    works.engine.run_on({ASYNC: works.hand, PROCESS: works.child}, reports)
    shop, lane = works.shop, works.lane()
    lane.shard.merge([("kills", Known(crashes=(0, 3)))])
    shop.handle("gone")
    del shop.specs["gone"]

    works.accept(lane, shop.put(b"garbage"), shop.send("kills"))
    works.accept(lane, shop.put(shop.event("a", "gone"), Carried(unknown_since_ms=1)))

    assert [(f.job, f.reason, f.error) for f in told] == [
        ("", "undecodable", "jobstream.undecodable"),
        ("send", "crashed_worker", "jobstream.Crashed"),
        ("gone", "unknown_type", "jobstream.UnknownType"),
    ]
    assert all(failure.decision == "dead" and failure.message for failure in told)
    assert caplog.messages.count("job_dead") == 3
