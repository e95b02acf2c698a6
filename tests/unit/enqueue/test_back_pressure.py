"""Bounds of a queue: what a declaration refuses, what handlers and metrics see."""

from __future__ import annotations

import logging
import pickle
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from prometheus_client import CollectorRegistry

from jobstream import App, Backoff, ConfigError, Context, Job, QueueBehind, Snooze
from jobstream.testing import MemoryJobs, memory

if TYPE_CHECKING:
    from collections.abc import Iterator


HOUR_MS = 3_600_000


@dataclass(frozen=True)
class Mail:
    to: str


@dataclass
class Shop:
    app: App
    send: Job[Mail, Any]
    jobs: MemoryJobs

    def value(self, name: str, **labels: str) -> float | None:
        registry = CollectorRegistry()
        registry.register(self.app.metrics())
        return registry.get_sample_value(name, labels)


@pytest.fixture
def app() -> App:
    return App("shop", size="small")


@pytest.fixture
def shop(app: App) -> Iterator[Shop]:
    queue = app.queue("mail", depth_max=3, age_max="1h")

    @app.job(queue=queue)
    async def send(args: Mail) -> None:
        del args

    with memory(app) as jobs:
        jobs.run_until_idle()
        yield Shop(app, send, jobs)


@pytest.mark.parametrize(
    ("bounds", "named"),
    [
        ({"depth_max": 0}, "depth_max=0"),
        ({"depth_max": 1.5}, "depth_max=1.5"),
        ({"depth_max": True}, "depth_max=True"),
        ({"age_max": "1s"}, "age_max='1s'"),
        ({"age_max": "soon"}, "age_max='soon'"),
        ({"age_max": "14d"}, "retention='14d'"),
        ({"mode": "warn"}, "mode='warn' has no bound"),
        ({"depth_max": 5, "mode": "drop"}, "mode='drop'"),
    ],
)
def test_a_bound_that_cannot_work_is_refused_where_it_is_declared(
    app: App, bounds: dict[str, Any], named: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        app.queue("mail", **bounds)
    assert named in str(caught.value)


def test_the_queue_drains_and_takes_jobs_again(shop: Shop) -> None:
    for _ in range(3):
        shop.send.enqueue(Mail("a"))
    with pytest.raises(QueueBehind) as caught:
        shop.send.enqueue(Mail("a"))

    shop.jobs.run_until_idle()

    shop.send.enqueue(Mail("a"))
    assert (caught.value.depth, caught.value.bound) == (3, "depth_max")


def test_a_refusal_crosses_to_another_process_whole() -> None:
    refusal = QueueBehind("mail", "age_max", depth=7, age=9.5, age_max=5.0, retry_after=2.5)

    arrived = pickle.loads(pickle.dumps(refusal))  # noqa: S301 - our own

    assert isinstance(arrived, QueueBehind)
    assert str(arrived) == str(refusal)
    assert vars(arrived) == vars(refusal)


def test_an_old_job_closes_the_door_however_few_wait(shop: Shop) -> None:
    shop.send.enqueue(Mail("a"))
    shop.jobs.clock.advance(3 * HOUR_MS)

    with pytest.raises(QueueBehind) as caught:
        shop.send.enqueue(Mail("b"))

    refusal = caught.value
    assert (refusal.bound, refusal.depth, refusal.age_max) == ("age_max", 1, 3600)
    # Asked at once, twice, four times the bound: it is at least so old.
    assert refusal.age == 2 * 3600
    assert "age_max=3600 s" in str(refusal)


def test_metrics_count_refusals_by_queue_and_bound(shop: Shop) -> None:
    labels = {"queue": "mail", "bound": "depth_max", "mode": "refuse"}
    assert shop.value("jobs_enqueues_over_bound_total", **labels) == 0
    for _ in range(3):
        shop.send.enqueue(Mail("a"))
    for _ in range(2):
        with pytest.raises(QueueBehind):
            shop.send.enqueue(Mail("a"))

    assert shop.value("jobs_enqueues_over_bound_total", **labels) == 2
    failures = {"queue": "mail", "job_type": "send", "error": "QueueBehind"}
    assert shop.value("jobs_enqueue_failures_total", **failures) == 2
    assert shop.value("jobs_back_pressure_blind", queue="mail") == 0


def test_a_broker_that_is_away_opens_the_door(shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(3):
        shop.send.enqueue(Mail("a"))
    with pytest.raises(QueueBehind):
        shop.send.enqueue(Mail("a"))
    shop.jobs.broker.freeze()
    with caplog.at_level(logging.WARNING), pytest.raises(Exception, match="not acknowledged"):
        shop.send.enqueue(Mail("a"))

    assert caplog.messages.count("back_pressure_blind") == 1
    assert shop.value("jobs_back_pressure_blind", queue="mail") == 1
    shop.jobs.broker.thaw()
    with pytest.raises(QueueBehind):
        shop.send.enqueue(Mail("a"))


def test_a_child_that_is_refused_is_its_parents_failure_and_comes_in_later(app: App) -> None:
    queue = app.queue("mail", depth_max=2)

    @app.job(queue=queue)
    async def send(args: Mail) -> None:
        del args

    @app.job(queue=app.queue("orders"), retry=Backoff(attempts=5, first="5s"))
    def order(args: Mail, ctx: Context) -> None:
        ctx.enqueue(send, args)

    with memory(app) as jobs:
        jobs.run_until_idle()
        app.control.pause(queue=queue)
        for _ in range(2):
            send.enqueue(Mail("a"))
        parent = order.enqueue(Mail("b"))
        jobs.run_for("1s")

        (seen,) = jobs.seen(parent)
        assert (seen.state, seen.error) == ("waiting", "jobstream.QueueBehind")
        app.control.resume(queue=queue)
        jobs.run_until_idle()

        jobs.assert_done(parent)
        jobs.assert_enqueued(send, count=3)


def test_a_handler_may_wait_without_using_an_attempt(app: App) -> None:
    queue = app.queue("mail", depth_max=1)

    @app.job(queue=queue)
    async def send(args: Mail) -> None:
        del args

    @app.job(queue=app.queue("orders"), retry=Backoff(attempts=1))
    def order(args: Mail, ctx: Context) -> None:
        try:
            ctx.enqueue(send, args)
        except QueueBehind as behind:
            raise Snooze(behind.retry_after) from behind

    with memory(app) as jobs:
        jobs.run_until_idle()
        app.control.pause(queue=queue)
        send.enqueue(Mail("a"))
        parent = order.enqueue(Mail("b"))
        jobs.run_for("5m")
        app.control.resume(queue=queue)
        jobs.run_until_idle()

        jobs.assert_done(parent)


def test_a_queue_without_bounds_has_no_door(app: App) -> None:
    send = app.declare("send", Mail, queue=app.queue("mail"))

    assert send._kind.door is None  # noqa: SLF001 - one attribute is all that it costs
    assert app._connection.doors == ()  # noqa: SLF001


def test_one_job_that_waits_is_one() -> None:
    behind = QueueBehind("mail", "depth_max", depth=1, depth_max=1, retry_after=5)

    assert "behind: 1 job waits there; depth_max=1." in str(behind)
