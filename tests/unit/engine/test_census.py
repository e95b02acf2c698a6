"""What waits in memory is counted by queue and reason, and since when."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from jobstream import App, Context
from jobstream.observe.job_families import WorkerCollector
from jobstream.testing import MemoryShard, memory
from jobstream.testing.virtual_clock import VirtualClock
from jobstream_processors.assignment.lane import Arrival, Lane
from jobstream_processors.core.headers import Carried
from jobstream_processors.core.watermark import Watermark
from jobstream_processors.core.who_waits import NOBODY, Waiters, WaitingJob
from jobstream_processors.delivery import Delivery
from jobstream_processors.engine.census import JOBS_MAX, Census
from jobstream_processors.watch.standing import Standing

NOW_MS = 1_000_000


def waits(queue: str, age_ms: int, *, why: str = "", since_ms: int | None = None) -> Delivery:
    arrival = Arrival(queue, (f"shop.{queue}", 0), 86_400_000, 10_000)
    made = Delivery(Lane(arrival, MemoryShard(), Watermark(0)), 0, b"", None)
    made.appended = VirtualClock(NOW_MS).awake_s() * 1_000 - age_ms
    made.carried = Carried(waits=why, waits_since_ms=since_ms)
    return made


def count(*waiting: tuple[Delivery, str]) -> Census:
    census = Census()
    census.take(waiting, VirtualClock(NOW_MS))
    return census


def test_each_queue_and_reason_has_its_number_and_its_oldest() -> None:
    census = count(
        (waits("mail", 5), "key"),
        (waits("mail", 70), "key"),
        (waits("mail", 20), "key"),
        (waits("mail", 9), "paused"),
        (waits("pdf", 3), "key"),
    )

    assert census.found == {
        ("mail", "key"): Waiters(3, NOW_MS - 70),
        ("mail", "paused"): Waiters(1, NOW_MS - 9),
        ("pdf", "key"): Waiters(1, NOW_MS - 3),
    }


def test_some_of_them_are_named_one_by_one() -> None:
    deliveries = [waits("mail", age) for age in range(JOBS_MAX + 5)]
    for number, delivery in enumerate(deliveries):
        delivery.id = f"j-{number}"

    census = count(*[(delivery, "type_paused") for delivery in deliveries])

    assert len(census.jobs) == JOBS_MAX
    assert census.jobs[7] == WaitingJob("j-7", "mail", "paused", NOW_MS - 7)
    census.take([], VirtualClock(NOW_MS))
    assert census.jobs == ()


def test_since_when_counts_hops_on_the_ladder_for_the_same_reason_only() -> None:
    census = count(
        (waits("mail", 5, why="rate", since_ms=NOW_MS - 900), "rate"),
        (waits("mail", 5, why="rate", since_ms=NOW_MS - 900), "fair"),
    )

    assert census.found["mail", "rate"].since_ms == NOW_MS - 900
    assert census.found["mail", "fair"].since_ms == NOW_MS - 5


def test_a_pause_of_a_type_and_of_a_queue_are_one_reason() -> None:
    assert count((waits("mail", 1), "type_paused")).found.keys() == {("mail", "paused")}


def test_a_reason_that_was_seen_goes_to_zero_and_is_not_forgotten() -> None:
    census = count((waits("mail", 5), "key"))

    census.take([], VirtualClock(NOW_MS))

    assert census.found == {("mail", "key"): NOBODY}


@given(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from(["key", "rate"]))))
def test_all_that_wait_are_counted_once(waiting: list[tuple[str, str]]) -> None:
    census = count(*[(waits(queue, 1), reason) for queue, reason in waiting])

    assert sum(each.jobs for each in census.found.values()) == len(waiting)


def test_metrics_show_them_with_their_age() -> None:
    standing = Standing((), (), 5, 0.0, leaving=False, broker_ms=NOW_MS,
                        waiting={("mail", "key"): Waiters(2, NOW_MS - 1_500)})  # fmt: skip
    registry = CollectorRegistry()
    meter = SimpleNamespace(
        queues={}, turn=SimpleNamespace(seconds={}), takeovers=SimpleNamespace(seconds={})
    )
    registry.register(WorkerCollector(cast("Any", meter), lambda: standing))

    labels = {"queue": "mail", "reason": "key"}
    assert registry.get_sample_value("jobs_waiting", labels) == 2
    assert registry.get_sample_value("jobs_waiting_oldest_seconds", labels) == 1.5


@dataclass(frozen=True)
class Mail:
    to: str


def test_a_worker_counts_what_waits_for_a_key() -> None:
    app = App("shop", size="small")
    seen: list[dict[tuple[str, str], Waiters]] = []

    @app.job(queue=app.queue("mail"), timeout="1h")
    async def send(args: Mail, ctx: Context) -> None:
        del args, ctx
        engine = jobs._worker._engine  # noqa: SLF001 - what the worker's own thread has
        for _ in range(8):
            engine.tick()
        seen.append(dict(engine.census.found))

    with memory(app) as jobs:
        for _ in range(4):
            send.enqueue(Mail("a"), key="one")
        jobs.run_until_idle()

    assert [each["mail", "key"].jobs for each in seen] == pytest.approx([3, 2, 1, 0])
