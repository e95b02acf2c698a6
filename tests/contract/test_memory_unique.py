"""Unique jobs in memory: which of a key run, what becomes of the others, and who is named."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from jobstream import (
    App,
    Backoff,
    Cancel,
    ConfigError,
    Dead,
    Debounce,
    RetryAfter,
    Snooze,
    Unique,
)
from jobstream.testing import memory

if TYPE_CHECKING:
    from collections.abc import Callable

    from jobstream import Enqueued, Job
    from jobstream.testing import MemoryJobs


@dataclass(frozen=True)
class Order:
    number: int
    note: str = ""


class Shop:
    """An app with one unique job type, and what its handler did."""

    def __init__(self, **options: object) -> None:
        self.app = App("shop")
        self.ran: list[str] = []
        self.outcomes: dict[str, list[BaseException]] = {}
        """What the handler raises, run by run; then it is done."""
        self.ship: Job[Order, None] = self.app.declare("ship", Order, **options)  # type: ignore[arg-type]

        @self.ship.handler
        async def shipped(args: Order) -> None:
            self.ran.append(args.note)
            if left := self.outcomes.get(args.note):
                raise left.pop(0)


def states(jobs: MemoryJobs, *of: Enqueued) -> list[tuple[str, str]]:
    """(state, reason) of each, with the ids of others replaced by their place in `of`."""
    found = []
    for each in of:
        (seen,) = jobs.seen(each)
        reason = seen.reason
        for number, other in enumerate(of):
            reason = reason.replace(other.job_id, str(number))
        found.append((seen.state, reason))
    return found


DUPLICATE_OF_0 = ("duplicate", "of 0")


def test_the_first_runs_and_a_later_one_names_it() -> None:
    shop = Shop(unique=Unique(by="number"))
    with memory(shop.app) as jobs:
        first, second = (shop.ship.enqueue(Order(1, note)) for note in "ab")
        other = shop.ship.enqueue(Order(2, "c"))
        jobs.run_until_idle()

        assert states(jobs, first, second, other) == [("done", ""), DUPLICATE_OF_0, ("done", "")]
        assert sorted(shop.ran) == ["a", "c"]


def test_after_the_end_of_the_holder_the_key_is_free() -> None:
    shop = Shop(unique=Unique(by="number"))
    with memory(shop.app) as jobs:
        for note in "abc":
            shop.ship.enqueue(Order(1, note))
            jobs.run_until_idle()

    assert shop.ran == ["a", "b", "c"]


@pytest.mark.parametrize("outcome", [RetryAfter("10m"), Snooze("10m"), ValueError("once")])
def test_a_job_that_waits_on_the_ladder_keeps_its_key(outcome: BaseException) -> None:
    shop = Shop(unique=Unique(by="number"), retry=Backoff(attempts=3, first="10m", jitter=False))
    shop.outcomes["a"] = [outcome]
    with memory(shop.app) as jobs:
        first = shop.ship.enqueue(Order(1, "a"))
        jobs.run_for("1m")
        second = shop.ship.enqueue(Order(1, "b"))
        jobs.run_until_idle()

        assert states(jobs, first, second) == [("done", ""), DUPLICATE_OF_0]
        assert shop.ran == ["a", "a"]


@pytest.mark.parametrize("outcome", [Dead("no"), Cancel("not wanted")])
def test_an_end_that_is_not_done_frees_the_key(outcome: BaseException) -> None:
    shop = Shop(unique=Unique(by="number"))
    shop.outcomes["a"] = [outcome]
    with memory(shop.app) as jobs:
        shop.ship.enqueue(Order(1, "a"))
        jobs.run_until_idle()
        shop.ship.enqueue(Order(1, "b"))
        jobs.run_until_idle()

    assert shop.ran == ["a", "b"]


def test_a_new_owner_knows_who_keeps_the_key_on_the_ladder() -> None:
    shop = Shop(unique=Unique(by="number"))
    shop.outcomes["a"] = [RetryAfter("10m")]
    with memory(shop.app) as jobs:
        first = shop.ship.enqueue(Order(1, "a"))
        jobs.run_for("1m")
        jobs.restart()
        second = shop.ship.enqueue(Order(1, "b"))
        jobs.run_until_idle()

        assert states(jobs, first, second) == [("done", ""), DUPLICATE_OF_0]


def test_a_hold_expires_if_nothing_else_ends_it() -> None:
    shop = Shop(unique=Unique(by="number", expires="5m"))
    shop.outcomes["a"] = [RetryAfter("10m")]
    with memory(shop.app) as jobs:
        shop.ship.enqueue(Order(1, "a"))
        jobs.run_for("6m")
        shop.ship.enqueue(Order(1, "b"))
        jobs.run_until_idle()

    assert shop.ran == ["a", "b", "a"]


@pytest.mark.parametrize("restarts", [False, True])
def test_a_cancelled_job_keeps_no_key_on_the_ladder(restarts: bool) -> None:  # noqa: FBT001
    shop = Shop(unique=Unique(by="number"))
    with memory(shop.app) as jobs:
        wrong = shop.ship.enqueue(Order(1, "wrong"), delay="30m")
        jobs.run_for("5s")
        shop.app.control.cancel(wrong.job_id)
        jobs.run_for("5s")
        if restarts:
            jobs.restart()
        right = shop.ship.enqueue(Order(1, "right"))
        jobs.run_for("5s")
        assert shop.ran == ["right"]
        jobs.run_until_idle()

        assert [state for state, _ in states(jobs, wrong, right)] == ["cancelled", "done"]
        assert shop.ran == ["right"]


def test_a_cancel_that_is_taken_back_loses_neither_job() -> None:
    shop = Shop(unique=Unique(by="number"))
    with memory(shop.app) as jobs:
        first = shop.ship.enqueue(Order(1, "first"), delay="30m")
        jobs.run_for("5s")
        shop.app.control.cancel(first.job_id)
        jobs.run_for("5s")
        shop.ship.enqueue(Order(1, "second"))
        jobs.run_for("5s")
        shop.app.control.resume(job_id=first.job_id)
        jobs.run_until_idle()

    assert shop.ran == ["second", "first"]


def test_until_start_frees_the_key_as_the_run_begins() -> None:
    shop = Shop(unique=Unique(by="number", until="start"))
    shop.outcomes["a"] = [RetryAfter("10m")]
    with memory(shop.app) as jobs:
        shop.ship.enqueue(Order(1, "a"))
        jobs.run_for("1m")
        shop.ship.enqueue(Order(1, "b"))
        jobs.run_until_idle()

    assert shop.ran == ["a", "b", "a"]


def test_until_start_holds_while_the_job_waits_for_its_time() -> None:
    shop = Shop(unique=Unique(by="number", until="start"))
    with memory(shop.app) as jobs:
        first = shop.ship.enqueue(Order(1, "a"), delay="10m")
        jobs.run_for("1m")
        second = shop.ship.enqueue(Order(1, "b"))
        jobs.run_until_idle()

        assert states(jobs, first, second) == [("done", ""), DUPLICATE_OF_0]


def test_keep_latest_runs_one_now_and_the_newest_afterwards() -> None:
    shop = Shop(unique=Unique(by="number", on_conflict="keep_latest"))
    shop.outcomes["a"] = [RetryAfter("10m")]
    with memory(shop.app) as jobs:
        first = shop.ship.enqueue(Order(1, "a"))
        jobs.run_for("10s")
        second = shop.ship.enqueue(Order(1, "b"))
        jobs.run_for("20s")
        third = shop.ship.enqueue(Order(1, "c"))
        jobs.run_until_idle()

        assert states(jobs, first, second, third) == [
            ("done", ""),
            ("duplicate", "of 2"),
            ("done", ""),
        ]
        assert shop.ran == ["a", "a", "c"]


@pytest.mark.parametrize("restarts", [False, True])
def test_keep_latest_over_restarts(restarts: bool) -> None:  # noqa: FBT001
    shop = Shop(unique=Unique(by="number", on_conflict="keep_latest"))
    shop.outcomes["a"] = [RetryAfter("10m")]
    with memory(shop.app) as jobs:
        first = shop.ship.enqueue(Order(1, "a"))
        others = []
        for note in "bcd":
            jobs.run_for("40s")
            if restarts:
                jobs.restart()
            others.append(shop.ship.enqueue(Order(1, note)))
        jobs.run_until_idle()

        assert [state for state, _ in states(jobs, first, *others)] == [
            "done",
            "duplicate",
            "duplicate",
            "done",
        ]
        assert shop.ran == ["a", "a", "d"]


def test_a_burst_runs_once_with_the_newest() -> None:
    shop = Shop(debounce=Debounce(by="number", wait="5s", wait_max="1m"))
    with memory(shop.app) as jobs:
        burst = []
        for note in "abcd":
            burst.append(shop.ship.enqueue(Order(1, note)))
            jobs.run_for("3s")
        assert shop.ran == []
        jobs.run_for("3s")
        assert shop.ran == ["d"]
        jobs.run_until_idle()

        found = [state for state, _ in states(jobs, *burst)]
        assert found == ["duplicate", "duplicate", "duplicate", "done"]


def test_a_burst_that_never_rests_runs_after_wait_max() -> None:
    shop = Shop(debounce=Debounce(by="number", wait="5s", wait_max="20s"))
    with memory(shop.app) as jobs:
        for number in range(30):
            shop.ship.enqueue(Order(1, str(number)))
            jobs.run_for("2s")
        jobs.run_until_idle()

    assert 3 <= len(shop.ran) <= 4
    assert shop.ran[-1] == "29"


def test_a_redrive_while_another_holds_is_refused_and_told() -> None:
    shop = Shop(unique=Unique(by="number"))
    shop.outcomes["a"] = [Dead("first")]
    shop.outcomes["b"] = [RetryAfter("1h")]
    with memory(shop.app) as jobs:
        first = shop.ship.enqueue(Order(1, "a"))
        jobs.run_for("10s")
        second = shop.ship.enqueue(Order(1, "b"))
        jobs.run_for("10s")
        (dead,) = jobs.seen(first)
        assert dead.state == "dead"
        _redrive(jobs, shop, first)
        jobs.run_for("10s")
        (again,) = jobs.seen(first)

        assert (again.state, again.redrive) == ("dead", 1)
        assert second.job_id in again.message
        jobs.run_until_idle()
        assert shop.ran == ["a", "b", "b"]


def _redrive(jobs: MemoryJobs, shop: Shop, job: Enqueued) -> None:
    from jobstream_processors.core.headers import parse, render  # noqa: PLC0415
    from jobstream_processors.core.letters import redriven  # noqa: PLC0415
    from jobstream_processors.ports import Outgoing  # noqa: PLC0415

    plan = shop.app.plan(shop.ship.queue)
    (letter,) = jobs.broker.records(plan.dlq, job.partition)
    (original,) = [
        r for r in jobs.broker.records(plan.topic, job.partition) if r.offset() == job.offset
    ]
    carried = redriven(parse(letter.headers()))
    jobs.broker.publish(
        [Outgoing(plan.topic, original.key(), original.value(), job.partition, render(carried))]
    )


def test_within_a_window_both_callers_get_one_job() -> None:
    shop = Shop(unique=Unique(by="number", within="10m"))
    shop.outcomes["a"] = [Dead("no")]
    with memory(shop.app) as jobs:
        first = shop.ship.enqueue(Order(1, "a"))
        jobs.run_until_idle()
        second = shop.ship.enqueue(Order(1, "other args"))
        jobs.run_until_idle()

        assert first.job_id == second.job_id
        assert shop.ran == ["a"]
        assert [seen.state for seen in jobs.seen(shop.ship)] == ["dead"]

        jobs.run_for("11m")
        third = shop.ship.enqueue(Order(1, "c"))
        jobs.run_until_idle()
        assert third.job_id != first.job_id
        assert shop.ran == ["a", "c"]


def test_many_at_once_obey_the_key() -> None:
    shop = Shop(unique=Unique(by="number"))
    with memory(shop.app) as jobs:
        shop.ship.enqueue_many([Order(n % 3, str(n)) for n in range(9)])
        jobs.run_until_idle()

        assert sorted(shop.ran) == ["0", "1", "2"]


def test_an_enqueue_may_want_its_key_otherwise() -> None:
    shop = Shop(unique=Unique(by="number"))
    with memory(shop.app) as jobs:
        shop.ship.enqueue(Order(1, "a"))
        shop.ship.enqueue(Order(1, "b"), unique=False)
        shop.ship.enqueue(Order(1, "c"), unique=Unique(by="number", on_conflict="keep_latest"))
        jobs.run_until_idle()

    assert shop.ran == ["a", "b", "c"]


REFUSED: list[tuple[Callable[[], object], str]] = [
    (lambda: Shop(unique=Unique(by="number", expires="2d")), "expires='2d' is longer"),
    (lambda: Shop(unique=Unique(by="number", within="2d")), "within='2d' is longer"),
    (lambda: Shop(unique=Unique(by="number", expires="0s")), "expires"),
    (lambda: Shop(unique=Unique(by="number", until="end")), "until='end'"),  # type: ignore[arg-type]
    (
        lambda: Shop(unique=Unique(by="number", on_conflict="x")),  # type: ignore[arg-type]
        "on_conflict='x'",
    ),
    (lambda: Shop(unique=Unique(by="number", within="1m", until="start")), "goes with no until"),
    (lambda: Shop(debounce=Debounce(by="number", wait="5s", wait_max="1s")), "less than wait='5s'"),
    (
        lambda: Shop(debounce=Debounce(by="number", wait="5s"), order_by="number"),
        "can't wait for their unique key",
    ),
    (
        lambda: Shop(unique=Unique(by="number", on_conflict="keep_latest"), order_by="number"),
        "leave out order_by=",
    ),
]


@pytest.mark.parametrize(("declare", "why"), REFUSED)
def test_what_can_not_be_is_refused_where_it_is_declared(
    declare: Callable[[], object], why: str
) -> None:
    with pytest.raises(ConfigError, match="ship") as refused:
        declare()
    assert why in str(refused.value)


def test_an_override_of_other_fields_is_refused() -> None:
    shop = Shop(unique=Unique(by="number"))
    with memory(shop.app), pytest.raises(ConfigError, match="give the same fields"):
        shop.ship.enqueue(Order(1), unique=Unique(by="note"))


def test_a_window_goes_with_no_key_of_the_caller() -> None:
    shop = Shop(unique=Unique(by="number", within="1m"))
    with memory(shop.app), pytest.raises(ConfigError, match="idempotency_key"):
        shop.ship.enqueue(Order(1), idempotency_key="mine")


def test_one_whose_time_is_near_waits_in_memory_and_runs_while_others_wait() -> None:
    shop = Shop(unique=Unique(by="number"))
    with memory(shop.app) as jobs:
        soon, later = (shop.ship.enqueue(Order(n), delay=d) for n, d in ((1, "1s"), (2, "9s")))
        jobs.run_for("5s")
        jobs.run_until_idle()

        assert states(jobs, soon, later) == [("done", ""), ("done", "")]
