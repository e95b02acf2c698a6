"""A worker in memory that an operator drains: it leaves once, and the next one stays."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from jobstream import App, Backoff, ConfigError, Context, Job
from jobstream.testing import MemoryJobs, memory

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True)
class Mail:
    to: str


@dataclass
class Shop:
    app: App
    jobs: MemoryJobs
    send: Job[Mail, object]
    ran: list[str]
    lives: list[str]
    """What began and ended of workers."""


@pytest.fixture
def shop() -> Iterator[Shop]:
    app = App("shop")
    mail = app.queue("mail", partitions=2)
    ran: list[str] = []
    lives: list[str] = []

    @app.lifespan
    def life() -> Iterator[None]:
        lives.append("joins")
        yield
        lives.append("leaves")

    @app.job(queue=mail, retry=Backoff(attempts=3, first="10m", jitter=False))
    async def send(args: Mail, ctx: Context) -> None:
        ran.append(args.to)
        if args.to == "fails" and ctx.attempt == 1:
            raise OSError

    with memory(app) as jobs:
        yield Shop(app, jobs, send, ran, lives)


def test_a_drained_worker_leaves_once_and_the_next_one_stays(shop: Shop) -> None:
    shop.send.enqueue(Mail("ann"))
    shop.jobs.run_until_idle()
    entry = shop.app.control.drain("host:1", why="a leak", who="eve@desk")
    shop.send.enqueue(Mail("bob"))
    shop.send.enqueue(Mail("fails"))

    shop.jobs.run_for("4m")
    shop.jobs.broker.rebalance()
    shop.jobs.run_until_idle()

    assert shop.lives == ["joins", "leaves", "joins"]
    assert sorted(shop.ran) == ["ann", "bob", "fails", "fails"], "and nothing runs twice for it"
    assert (entry.kind, entry.subject, entry.why) == ("drain", "host:1", "a leak")
    assert entry.expires_at - entry.at == timedelta(minutes=5)
    assert shop.app.control.entries() == []


def test_a_drain_before_the_first_job_is_obeyed_since_the_worker_is_there(shop: Shop) -> None:
    shop.app.control.drain("host:1")
    shop.send.enqueue(Mail("ann"))
    shop.jobs.run_until_idle()

    assert shop.lives == ["joins", "leaves", "joins"]
    assert shop.ran == ["ann"]


def test_a_worker_that_starts_after_a_drain_does_not_obey_it(shop: Shop) -> None:
    shop.jobs.run_until_idle()
    shop.app.control.drain("host:*")
    shop.jobs.restart()
    shop.send.enqueue(Mail("ann"))
    shop.jobs.run_until_idle()

    assert shop.lives == ["joins", "leaves", "joins"]
    assert shop.ran == ["ann"]


@pytest.mark.parametrize(
    ("worker", "why"), [("host", "HOST:PID"), ("*", "stop all work at once"), ("", "no worker")]
)
def test_a_drain_of_all_workers_or_of_none_is_refused(shop: Shop, worker: str, why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        shop.app.control.drain(worker)

    assert shop.app.control.entries() == []
