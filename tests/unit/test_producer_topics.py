"""What a producer does about topics that are made anew or grown while it runs."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jobstream import App, Job, client
from jobstream.kafka.topics import schemas_topic
from jobstream.testing import MemoryJobs, memory

if TYPE_CHECKING:
    import pytest


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


def test_a_schema_is_published_once_and_again_after_a_while(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    app, send = shop()
    with memory(app) as jobs:
        send.enqueue(Mail("ann"))
        send.enqueue(Mail("bob"))
        assert schemas_in(jobs) == 1

        jobs.broker.recreate_topic(schemas_topic("shop"))
        monkeypatch.setattr(client, "time", Later(client.SCHEMA_AGAIN_S))
        send.enqueue(Mail("cid"))
        asyncio.run(send.aenqueue(Mail("dan")))
        send.enqueue_many([Mail("eve"), Mail("fay")])

        assert schemas_in(jobs) == 1


def test_a_schema_that_can_not_be_published_again_holds_up_no_job(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    app, send = shop()
    with memory(app) as jobs:
        send.enqueue(Mail("ann"))
        monkeypatch.setattr(client, "time", Later(client.SCHEMA_AGAIN_S))
        jobs.broker.fail_publishes(lambda outgoing: outgoing.topic.endswith(".schemas"))

        send.enqueue(Mail("bob"))

        assert len(jobs.seen(send)) == 2


class Later:
    """The module `time`, some seconds later."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def monotonic(self) -> float:
        return time.monotonic() + self._seconds

    def time_ns(self) -> int:
        return time.time_ns()
