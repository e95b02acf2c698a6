"""Operators' orders in memory: the real worker's parts, a clock that jumps, and rebalances."""

from __future__ import annotations

from dataclasses import dataclass
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
    other: Job[Mail, object]
    ran: list[str]

    def state(self, job_id: str) -> str:
        (found,) = self.jobs.seen(job_id)
        return found.state


@pytest.fixture
def shop() -> Iterator[Shop]:
    app = App("shop")
    mail = app.queue("mail", partitions=2)
    rest = app.queue("rest", partitions=1)
    ran: list[str] = []

    @app.job(queue=mail, aliases=["sent"], retry=Backoff(attempts=3, first="10m", jitter=False))
    async def send(args: Mail, ctx: Context) -> None:
        ran.append(args.to)
        if args.to == "fails" and ctx.attempt == 1:
            raise OSError

    @app.job(queue=rest)
    def other(args: Mail) -> None:
        ran.append(args.to)

    with memory(app) as jobs:
        yield Shop(app, jobs, send, other, ran)


def test_a_paused_queue_runs_nothing_and_others_go_on(shop: Shop) -> None:
    shop.app.control.pause(queue="mail")
    shop.send.enqueue(Mail("ann"))
    shop.other.enqueue(Mail("bob"))

    shop.jobs.run_until_idle()
    assert shop.ran == ["bob"]

    shop.app.control.resume(queue="mail")
    shop.jobs.run_until_idle()
    assert shop.ran == ["bob", "ann"]


def test_a_pause_holds_on_the_new_owner_of_a_partition(shop: Shop) -> None:
    shop.app.control.pause(queue="mail")
    shop.jobs.run_until_idle()

    for number in range(3):
        shop.send.enqueue(Mail(str(number)))
        shop.jobs.broker.rebalance()
        shop.jobs.run_until_idle()

    assert shop.ran == []
    shop.app.control.resume(queue="mail")
    shop.jobs.run_until_idle()
    assert sorted(shop.ran) == ["0", "1", "2"]


def test_a_paused_type_holds_on_the_new_owner_of_a_partition(shop: Shop) -> None:
    shop.app.control.pause(job=shop.send)
    shop.send.enqueue(Mail("ann"))
    shop.jobs.run_until_idle()

    shop.jobs.broker.rebalance()
    shop.jobs.run_until_idle()
    assert shop.ran == []

    shop.app.control.resume(job="send")
    shop.jobs.run_until_idle()
    assert shop.ran == ["ann"]


def test_a_pause_ends_when_it_expires_without_anybody(shop: Shop) -> None:
    shop.app.control.pause(job=shop.send, for_="1h")
    shop.send.enqueue(Mail("ann"))

    shop.jobs.run_for("59m")
    assert shop.ran == []
    assert len(shop.app.control.entries()) == 1
    shop.jobs.run_for("2m")

    assert shop.ran == ["ann"]
    assert shop.app.control.entries() == []


def test_a_newer_pause_takes_the_place_of_an_older(shop: Shop) -> None:
    shop.app.control.pause(queue="mail", for_="1h", why="first")
    shop.app.control.pause(queue="mail", for_="3h", why="second")
    shop.send.enqueue(Mail("ann"))

    shop.jobs.run_for("2h")

    assert shop.ran == []
    assert [entry.why for entry in shop.app.control.entries()] == ["second"]


def test_a_cancelled_job_ends_with_who_and_why(shop: Shop) -> None:
    sent = shop.send.enqueue(Mail("ann"))
    shop.app.control.cancel(sent.job_id, why="wrong customer", who="eve@desk")

    shop.jobs.run_until_idle()

    assert shop.ran == []
    (found,) = shop.jobs.seen(sent)
    assert (found.state, found.reason) == ("cancelled", "by eve@desk: wrong customer")


def test_a_delayed_job_is_cancelled_when_it_comes_to_its_queue_at_the_latest(shop: Shop) -> None:
    sent = shop.send.enqueue(Mail("ann"), delay="2h")
    shop.jobs.run_for("1m")
    shop.app.control.cancel(sent.job_id)

    shop.jobs.run_until_idle()

    assert shop.ran == []
    assert shop.state(sent.job_id) == "cancelled"


def test_a_job_that_waits_for_its_retry_is_cancelled(shop: Shop) -> None:
    sent = shop.send.enqueue(Mail("fails"))
    shop.jobs.run_for("1m")
    assert shop.ran == ["fails"]
    shop.app.control.cancel(sent.job_id)

    shop.jobs.run_until_idle()

    assert shop.ran == ["fails"]
    assert shop.state(sent.job_id) == "cancelled"


def test_a_cancel_taken_back_in_time_was_none(shop: Shop) -> None:
    sent = shop.send.enqueue(Mail("ann"), delay="2h")
    shop.app.control.cancel(sent.job_id)
    shop.jobs.run_for("1h")
    shop.app.control.resume(job_id=sent.job_id)

    shop.jobs.run_for("59m")
    assert shop.ran == [], "and it runs when it is due, not earlier"
    shop.jobs.run_until_idle()

    assert shop.ran == ["ann"]


def test_a_quiet_worker_takes_nothing(shop: Shop) -> None:
    shop.app.control.quiet("*")
    shop.send.enqueue(Mail("ann"))
    shop.jobs.run_until_idle()
    assert shop.ran == []

    shop.app.control.unquiet("*")
    shop.jobs.run_until_idle()
    assert shop.ran == ["ann"]


def test_entries_are_listed_in_the_order_they_were_made_and_lifting_is_harmless(
    shop: Shop,
) -> None:
    control = shop.app.control
    control.pause(queue="rest")
    control.pause(job="sent")
    control.pause(queue="mail")
    control.resume(queue="mail")
    control.resume(queue="mail")
    control.unquiet("nobody:1")

    assert [(e.kind, e.subject) for e in control.entries()] == [
        ("pause_queue", "rest"),
        ("pause_type", "sent"),
    ]


@pytest.mark.parametrize("lasts", ["0s", "367d", "-1s", "soon"])
def test_an_entry_lasts_for_a_time_that_makes_sense(shop: Shop, lasts: str) -> None:
    with pytest.raises(ConfigError):
        shop.app.control.pause(queue="mail", for_=lasts)
    assert shop.app.control.entries() == []


def test_an_id_that_no_job_can_have_is_refused(shop: Shop) -> None:
    for wrong in ("", "x" * 301):
        with pytest.raises(ConfigError):
            shop.app.control.cancel(wrong)
