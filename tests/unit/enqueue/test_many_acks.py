"""Reports of many jobs are counted exactly, from any thread, and their waiter always comes back."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import pytest

from jobstream.enqueue.many_acks import FAILURES_MAX, Tally
from jobstream.errors import EnqueueError, EnqueuesFailed

if TYPE_CHECKING:
    from threading import Lock

LIMIT_S = 120.0
JOBS = 2_000
THREADS = 4


def unserved(pending: Lock, until: float) -> None:
    """Reports come on threads of the tests."""


def test_reports_from_many_threads_are_all_counted() -> None:
    tally = Tally(unserved)
    reports = [tally.sent(index) for index in range(JOBS)]

    def report(first: int) -> None:
        for done in reports[first::THREADS]:
            done(None, 0, 0)

    threads = [threading.Thread(target=report, args=(n,)) for n in range(THREADS)]
    for thread in threads:
        thread.start()
    tally.wait(LIMIT_S)

    tally.check([])
    for thread in threads:
        thread.join()


def test_the_waiter_returns_only_after_the_last_report() -> None:
    tally = Tally(unserved)
    first, last = tally.sent(0), tally.sent(1)
    first(None, 0, 0)
    returned = threading.Event()

    def wait() -> None:
        tally.wait(LIMIT_S)
        returned.set()

    thread = threading.Thread(target=wait)
    thread.start()
    assert not returned.wait(0.1)
    last(None, 0, 1)

    assert returned.wait(LIMIT_S)
    thread.join()
    tally.check([])


def test_nothing_sent_is_nothing_to_wait_for() -> None:
    tally, begun = Tally(unserved), time.monotonic()

    tally.wait(LIMIT_S)

    assert time.monotonic() - begun < LIMIT_S
    tally.check([])


def test_a_job_without_an_answer_is_unknown() -> None:
    tally = Tally(unserved)
    tally.sent(0)(None, 0, 0)
    tally.sent(1)

    tally.wait(0.01)

    with pytest.raises(EnqueuesFailed) as failed:
        tally.check(["a", "b"])
    assert (failed.value.failed, failed.value.unknown) == (0, 1)


def test_a_job_that_was_not_taken_is_a_failure_nobody_waits_for() -> None:
    tally, full = Tally(unserved), EnqueueError("full")
    tally.sent(0)(None, 0, 0)
    tally.sent(1)
    tally.unsent(1, full)

    tally.wait(LIMIT_S)

    with pytest.raises(EnqueuesFailed) as failed:
        tally.check(["a", "b"])
    assert (failed.value.failures, failed.value.unknown) == ({1: full}, 0)


def test_failures_are_counted_beyond_those_kept() -> None:
    tally, refused = Tally(unserved), EnqueueError("no")
    for index in range(FAILURES_MAX + 5):
        tally.sent(index)(refused, -1, -1)

    tally.wait(LIMIT_S)

    with pytest.raises(EnqueuesFailed) as failed:
        tally.check([])
    assert failed.value.failed == FAILURES_MAX + 5
    assert len(failed.value.failures) == FAILURES_MAX
