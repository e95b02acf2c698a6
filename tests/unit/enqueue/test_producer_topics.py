"""What a producer does about topics that are made anew or grown while it runs."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, cast

import pytest

from jobstream import App, Job, TopicMismatch
from jobstream.enqueue import client, first_use
from jobstream.enqueue.topic_check import check_topic
from jobstream.kafka.client.client_log import client_log
from jobstream.testing import MemoryJobs, memory
from jobstream.topics.names import schemas_topic
from jobstream_processors.core.partition import partition_for


@dataclass(frozen=True)
class Mail:
    to: str


def shop() -> tuple[App, Job[Mail, object]]:
    app = App("shop")

    @app.job(queue=app.queue("mail", partitions=4))
    async def send(args: Mail) -> None:
        """Do nothing."""

    return app, send


def schemas_in(jobs: MemoryJobs) -> int:
    return len(jobs.broker.records(schemas_topic("shop")))


@pytest.mark.pure("replaces the clock of a compiled module")
def test_a_schema_is_published_once_and_again_after_a_while(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    app, send = shop()
    with memory(app) as jobs:
        send.enqueue(Mail("ann"))
        send.enqueue(Mail("bob"))
        assert schemas_in(jobs) == 1

        jobs.broker.recreate_topic(schemas_topic("shop"))
        monkeypatch.setattr(client, "time", Later(first_use.SCHEMA_AGAIN_S))
        send.enqueue(Mail("cid"))
        asyncio.run(send.aenqueue(Mail("dan")))
        send.enqueue_many([Mail("eve"), Mail("fay")])

        assert schemas_in(jobs) == 1


@pytest.mark.pure("replaces the clock of a compiled module")
def test_a_schema_that_can_not_be_published_again_holds_up_no_job(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    app, send = shop()
    with memory(app) as jobs:
        send.enqueue(Mail("ann"))
        monkeypatch.setattr(client, "time", Later(first_use.SCHEMA_AGAIN_S))
        jobs.broker.fail_publishes(lambda outgoing: outgoing.topic.endswith(".schemas"))

        send.enqueue(Mail("bob"))

        assert len(jobs.seen(send)) == 2


def test_producers_keep_to_the_partitions_that_the_queue_declares() -> None:
    app, send = shop()
    with memory(app) as jobs:
        topic = app.plan(app.queues["mail"]).topic
        send.enqueue(Mail("before"))
        jobs.broker.add_partitions(topic, 12)

        for n in range(50):
            send.enqueue(Mail(f"drawn {n}"))
            send.enqueue(Mail(f"by key {n}"), key=f"order-{n}")
            send.enqueue(Mail(f"repeated {n}"), idempotency_key=f"once-{n}")
        send.enqueue_many(Mail(f"many {n}") for n in range(50))

        used = {record.partition() for record in jobs.broker.records(topic)}
        assert used == {0, 1, 2, 3}
        found = {r.key(): r.partition() for r in jobs.broker.records(topic)}
        assert all(found[k] == partition_for(k, 4) for k in found if k and k.startswith(b"order"))
        jobs.run_until_idle()
        assert len(jobs.assert_done(send)) == 201


@pytest.mark.parametrize(
    ("there", "fix"),
    [(2, "declare 2, or grow"), (3, "declare 3, or a multiple of 3, and then grow")],
)
def test_a_producer_whose_code_declares_more_than_the_topic_has_names_a_way_that_works(
    there: int, fix: str
) -> None:
    app, _ = shop()
    plan = app.plan(app.queues["mail"])
    transport = SimpleNamespace(partitions=lambda _topic, _within_s: there)

    with pytest.raises(TopicMismatch, match=f"{fix} the queue with: .* --grow mail"):
        check_topic(cast("Any", transport), plan, plan.topic, time.monotonic() + 1)


def test_a_producer_that_starts_with_a_grown_topic_says_so(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app, send = shop()
    with memory(app) as jobs:
        jobs.broker.add_partitions(app.plan(app.queues["mail"]).topic, 12)

        send.enqueue(Mail("ann"))

        (told,) = [r for r in caplog.records if r.message == "partitions_undeclared"]
        assert (vars(told)["partitions"], vars(told)["declared"]) == (12, 4)


def test_each_producer_says_so_whatever_the_client_library_has_said(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Its log keeps back what it has shown lately, and would take the second line for the first."""
    client_log()
    for _ in range(2):
        app, send = shop()
        with memory(app) as jobs:
            jobs.broker.add_partitions(app.plan(app.queues["mail"]).topic, 12)
            send.enqueue(Mail("ann"))

    assert [r.message for r in caplog.records].count("partitions_undeclared") == 2


def test_a_producer_whose_code_declares_fewer_than_the_queue_has_writes_nothing() -> None:
    """As after a change to a smaller size: keys would lead elsewhere, in silence."""
    app, send = shop()
    with memory(app) as jobs:
        plan = app.plan(app.queues["mail"])
        for topic in (plan.topic, plan.dlq):
            jobs.broker.add_partitions(topic, 12)

        with pytest.raises(TopicMismatch, match=r"never shrinks.*declare 12"):
            send.enqueue(Mail("ann"))
        with pytest.raises(TopicMismatch, match="never shrinks"):
            send.enqueue(Mail("ann"), delay="1h")

        assert not jobs.broker.records(plan.topic)
        assert not jobs.broker.records(plan.rungs["1h"][0])


class Later:
    """The module `time`, some seconds later."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def monotonic(self) -> float:
        return time.monotonic() + self._seconds

    def time_ns(self) -> int:
        return time.time_ns()
