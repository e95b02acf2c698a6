"""A job is not started after its time, wherever it waited: a key, a slot, a pause, a retry."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from jobstream import App, Backoff, Context, Job
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
    jobs: MemoryJobs
    ran: list[str]
    send: Job[Mail, object]
    """Async; takes an hour for "slow"."""
    print: Job[Mail, object]
    """Likewise, in a thread."""
    hold: Job[Mail, object]
    """Holds its key; "fails" does so once."""

    def end_of(self, job_id: str) -> str:
        (found,) = self.jobs.seen(job_id)
        return found.state


@pytest.fixture
def shop() -> Iterator[Shop]:
    app = App("shop", concurrency=1)
    queue = app.queue("mail", partitions=1)
    made: list[Shop] = []
    ran: list[str] = []

    def work(to: str) -> None:
        ran.append(to)
        if to == "slow":
            made[0].jobs.clock.advance(HOUR_MS)

    @app.job(queue=queue)
    async def send(args: Mail) -> None:
        work(args.to)

    @app.job(queue=queue, name="print")
    def prints(args: Mail) -> None:
        work(args.to)

    @app.job(
        queue=queue,
        on_failure="hold_key",
        retry=Backoff(attempts=3, first="1h", cap="1h", jitter=False),
    )
    async def hold(args: Mail, ctx: Context) -> None:
        work(args.to)
        if args.to == "fails" and ctx.attempt == 1:
            raise OSError

    with memory(app) as jobs:
        made.append(Shop(app, jobs, ran, send, prints, hold))
        yield made[0]


@pytest.mark.parametrize("kind", ["send", "print"])
def test_one_that_waited_for_a_slot(shop: Shop, kind: str) -> None:
    job: Job[Mail, Any] = getattr(shop, kind)
    job.enqueue(Mail("slow"))
    late = job.enqueue(Mail("late"), expires_in="59m")
    timely = job.enqueue(Mail("timely"), expires_in="61m")

    shop.jobs.run_until_idle()

    assert shop.ran == ["slow", "timely"]
    assert shop.end_of(late.job_id) == "expired"
    assert shop.end_of(timely.job_id) == "done"


@pytest.mark.parametrize(("kind", "first"), [("send", "slow"), ("hold", "slow"), ("hold", "fails")])
def test_one_that_waited_for_its_key_and_the_next_gets_it(
    shop: Shop, kind: str, first: str
) -> None:
    job: Job[Mail, Any] = getattr(shop, kind)
    job.enqueue(Mail(first), key="k")
    late = job.enqueue(Mail("late"), key="k", expires_in="59m")
    job.enqueue(Mail("next"), key="k")

    shop.jobs.run_until_idle()

    assert shop.ran == ([first] if first == "slow" else [first, first]) + ["next"]
    assert shop.end_of(late.job_id) == "expired"


def test_one_that_waited_behind_a_pause(shop: Shop) -> None:
    shop.jobs.run_for("1s")
    shop.app.control.pause(queue="mail")
    late = shop.send.enqueue(Mail("late"), key="k", expires_in="59m")
    shop.send.enqueue(Mail("next"), key="k")
    shop.jobs.run_for("1h")

    shop.app.control.resume(queue="mail")
    shop.jobs.run_until_idle()

    assert shop.ran == ["next"]
    assert shop.end_of(late.job_id) == "expired"


def test_one_that_waited_to_be_retried_in_place(shop: Shop) -> None:
    late = shop.hold.enqueue(Mail("fails"), key="k", expires_in="59m")
    shop.hold.enqueue(Mail("next"), key="k")

    shop.jobs.run_until_idle()

    assert shop.ran == ["fails", "next"]
    assert shop.end_of(late.job_id) == "expired"
