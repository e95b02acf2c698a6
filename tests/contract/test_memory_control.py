"""Operators' orders in memory: the real worker's parts, a clock that jumps, and rebalances."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, NoReturn

import pytest

from jobstream import (
    App,
    Backoff,
    BrokerRefused,
    BrokerUnavailable,
    ConfigError,
    Context,
    EnqueueTimeout,
    Job,
    QueueFull,
)
from jobstream.testing import MemoryBroker, MemoryJobs, MemoryLog, memory
from jobstream.testing.memory_transport import MemoryTransport
from jobstream_processors.core.duration import to_ms
from jobstream_processors.errors import TableUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jobstream.enqueue.acks import Done
    from jobstream.testing.faults import Fate
    from jobstream_processors.ports import Outgoing, TopicPartition


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
    app = App("shop", enqueue_timeout="1s")
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


def test_a_job_that_waits_for_longer_than_the_order_is_cancelled_at_its_next_hop(
    shop: Shop,
) -> None:
    sent = shop.send.enqueue(Mail("ann"), delay="60d")
    shop.jobs.run_for("1m")
    shop.app.control.cancel(sent.job_id)

    shop.jobs.run_for("1d")

    assert shop.state(sent.job_id) == "cancelled"
    shop.jobs.run_until_idle()
    assert shop.ran == []


def test_a_job_fetched_from_the_ladder_goes_back_if_its_cancel_is_no_more(shop: Shop) -> None:
    """Were it left where the delayer brought it, it would run weeks early."""
    began_ms = shop.jobs.clock.broker_ms()
    sent = shop.send.enqueue(Mail("ann"), delay="60d")
    shop.jobs.run_for("1m")
    shop.app.control.cancel(sent.job_id)
    shop.app.control.pause(queue="mail", for_="30d")
    shop.jobs.run_for("1d")
    assert shop.state(sent.job_id) == "waiting"

    shop.app.control.resume(job_id=sent.job_id)
    shop.app.control.resume(queue="mail")
    shop.jobs.run_for("58d")
    assert shop.ran == []
    shop.jobs.run_until_idle()

    assert shop.ran == ["ann"]
    assert shop.jobs.clock.broker_ms() - began_ms == to_ms("60d")


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
    shop.jobs.run_for("59m")
    shop.app.control.resume(job_id=sent.job_id)

    shop.jobs.run_for("1h")
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


def test_a_quiet_of_a_name_that_no_worker_can_have_is_refused(shop: Shop) -> None:
    with pytest.raises(ConfigError, match="HOST:PID"):
        shop.app.control.quiet("host")

    assert shop.app.control.entries() == []


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


def test_each_of_many_is_cancelled_with_who_and_why(shop: Shop) -> None:
    sent = [shop.send.enqueue(Mail(name)).job_id for name in ("ann", "bob", "eve")]

    done = list(shop.app.control.cancel_each(sent[:2], why="a wrong batch", who="eve@desk"))
    shop.jobs.run_until_idle()

    assert done == [(each, None) for each in sent[:2]]
    assert [shop.state(each) for each in sent] == ["cancelled", "cancelled", "done"]
    entries = shop.app.control.entries()
    assert {(e.subject, e.why, e.who) for e in entries} == {
        (each, "a wrong batch", "eve@desk") for each in sent[:2]
    }


@pytest.mark.parametrize(("ids", "lasts"), [(["a-job"], "soon"), (["a-job", ""], "1h")])
def test_nothing_is_written_of_many_where_one_is_refused(
    shop: Shop, ids: list[str], lasts: str
) -> None:
    with pytest.raises(ConfigError):
        shop.app.control.cancel_each(ids, for_=lasts)
    assert shop.app.control.entries() == []


def test_an_id_that_no_job_can_have_is_refused(shop: Shop) -> None:
    for wrong in ("", "x" * 301):
        with pytest.raises(ConfigError):
            shop.app.control.cancel(wrong)


class Unread(MemoryTransport):
    """The way to a broker that takes records and gives none."""

    def __init__(self, broker: MemoryBroker, why: Exception) -> None:
        super().__init__(broker)
        self._why = why

    def log(self) -> MemoryLog:
        return UnreadLog(self._broker, self._why)


class UnreadLog(MemoryLog):
    """Knows where its log ends, and no more."""

    def __init__(self, broker: MemoryBroker, why: Exception) -> None:
        super().__init__(broker)
        self._why = why

    def read(self, partition: TopicPartition, start: int, stop: int) -> NoReturn:  # noqa: ARG002 - the port's
        raise self._why


@pytest.mark.parametrize(
    "why", [TableUnavailable("stuck"), BrokerUnavailable("away"), BrokerRefused("no")]
)
def test_an_entry_that_is_written_is_told_though_it_cannot_be_read_back(
    shop: Shop, why: Exception
) -> None:
    shop.app.bind(Unread(shop.jobs.broker, why))

    entry = shop.app.control.pause(queue="mail", why="deploy", for_="2h")

    assert (entry.subject, entry.why) == ("mail", "deploy")
    assert entry.expires_at - entry.at == timedelta(hours=2)
    shop.app.bind(MemoryTransport(shop.jobs.broker))
    assert [found.why for found in shop.app.control.entries()] == ["deploy"]


def test_what_cannot_be_read_is_an_error_of_ours(shop: Shop) -> None:
    shop.app.control.pause(queue="mail")
    shop.app.bind(Unread(shop.jobs.broker, TableUnavailable("stuck")))

    with pytest.raises(BrokerUnavailable, match=r"stuck; nothing was written, try again"):
        shop.app.control.entries()


@pytest.mark.parametrize("fate", ["appended", "absent"])
def test_an_entry_without_an_acknowledgement_may_be_in_force(shop: Shop, fate: Fate) -> None:
    shop.jobs.broker.fail_publishes(1, fate=fate)

    with pytest.raises(EnqueueTimeout) as caught:
        shop.app.control.pause(queue="mail")

    assert caught.value.may_be_written
    assert "control entry pause_queue:mail" in str(caught.value)
    assert "it may be in force, and a repeat is harmless" in str(caught.value)
    assert len(shop.app.control.entries()) == (fate == "appended")

    shop.app.control.pause(queue="mail")
    assert len(shop.app.control.entries()) == 1


def test_an_entry_that_was_refused_is_not_in_force(shop: Shop) -> None:
    class Full(MemoryTransport):
        def submit(self, record: Outgoing, done: Done) -> None:  # noqa: ARG002 - the port's
            message = "full"
            raise QueueFull(message)

    shop.app.bind(Full(shop.jobs.broker))

    with pytest.raises(QueueFull, match="it was not written, and a repeat is harmless"):
        shop.app.control.cancel("0190b8e4-9d5c-7000-8000-00000000abcd")
