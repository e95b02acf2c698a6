"""What an error of an enqueue says: whether the job may be written, and what a repeat does."""

from __future__ import annotations

import asyncio
import re
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from confluent_kafka import KafkaError, Message

from jobstream import (
    App,
    ConfigError,
    EnqueueError,
    EnqueuesFailed,
    EnqueueTimeout,
    Job,
    QueueFull,
)
from jobstream.kafka.produce import producer as producing
from jobstream.kafka.produce.lasting import Unserved
from jobstream.kafka.produce.producer import KafkaTransport
from jobstream.kafka.produce.producer_clock import ProducerClock
from jobstream.testing import MemoryJobs, memory
from jobstream.testing.memory_transport import MemoryTransport
from jobstream_processors.ports import Outgoing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from jobstream.enqueue.acks import Done
    from jobstream.testing.memory_broker import MemoryBroker

PERHAPS = r"may still be written\. Repeating it with the same idempotency_key is safe"
LIMIT_S = 120.0
OTHERWISE = "any other repeat is another job"
NOT = "was not written: a repeat makes no second one"


@dataclass(frozen=True)
class Mail:
    to: str


class Answering(MemoryTransport):
    """The way to a broker that answers every job as the client library would, by a code."""

    def __init__(self, broker: MemoryBroker, code: int) -> None:
        super().__init__(broker)
        self._code = code

    def submit(self, record: Outgoing, done: Done) -> None:
        if record.topic.endswith(".default"):
            refused = Message(topic=record.topic)
            by, error = Unserved({"log_level": 0}), KafkaError(self._code)
            producing._report(done, ProducerClock(), by, error, refused)  # noqa: SLF001 - what the client calls
        else:
            super().submit(record, done)


class Full(MemoryTransport):
    """The way to a broker that takes nothing more."""

    def submit(self, record: Outgoing, done: Done) -> None:
        if record.topic.endswith(".default"):
            message = "full"
            raise QueueFull(message)
        super().submit(record, done)


class Silent(MemoryTransport):
    """The way to a broker that takes jobs and answers none."""

    def submit(self, record: Outgoing, done: Done) -> None:
        if not record.topic.endswith(".default"):
            super().submit(record, done)


class Held(MemoryTransport):
    """The way to a broker that answers nothing before it is let go."""

    def __init__(self, broker: MemoryBroker) -> None:
        super().__init__(broker)
        self.go = threading.Event()

    def partitions(self, topic: str, timeout_s: float = 5.0) -> int:
        self.go.wait(LIMIT_S)
        return super().partitions(topic, timeout_s)


class Desk:
    """An app with one job type, whose way to the broker can be changed."""

    def __init__(self, app: App, mail: Job[Mail, Any], jobs: MemoryJobs) -> None:
        self.app, self.mail, self.broker = app, mail, jobs.broker


@pytest.fixture
def desk(request: pytest.FixtureRequest) -> Iterator[Desk]:
    """Gives an enqueue up soon, unless the test says when."""
    app = App("shop", enqueue_timeout=getattr(request, "param", "200ms"))
    mail = app.declare("mail", Mail)
    with memory(app) as jobs:
        yield Desk(app, mail, jobs)


def ways(mail: Job[Mail, Any]) -> list[Callable[[], object]]:
    """Every way to enqueue one job."""
    return [
        lambda: mail.enqueue(Mail("ann")),
        lambda: asyncio.run(mail.aenqueue(Mail("ann"))),
        lambda: mail.enqueue_many([Mail("ann")]),
    ]


def told_by(enqueue: Callable[[], object]) -> EnqueueError:
    """The error of an enqueue, of the one job if it was one of many."""
    with pytest.raises(EnqueueError) as caught:
        enqueue()
    error = caught.value
    if isinstance(error, EnqueuesFailed):
        assert "idempotency_keys is safe" in str(error)
        (one,) = error.failures.values()
        assert isinstance(one, EnqueueError)
        return one
    return error


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (KafkaError._MSG_TIMED_OUT, EnqueueTimeout),  # noqa: SLF001 - the library's names
        (KafkaError.NOT_ENOUGH_REPLICAS_AFTER_APPEND, EnqueueTimeout),
        (KafkaError._PURGE_INFLIGHT, EnqueueError),  # noqa: SLF001
        (KafkaError._FATAL, EnqueueError),  # noqa: SLF001
        (KafkaError.UNKNOWN, EnqueueError),
    ],
)
def test_where_nobody_can_know_a_repeat_needs_its_key(
    desk: Desk, code: int, kind: type[EnqueueError]
) -> None:
    desk.app.bind(Answering(desk.broker, code))

    for enqueue in ways(desk.mail):
        error = told_by(enqueue)
        assert (type(error), error.may_be_written) == (kind, True)
        assert re.search(PERHAPS, str(error))
        assert OTHERWISE in str(error)


@pytest.mark.parametrize(
    "code",
    [
        KafkaError.MSG_SIZE_TOO_LARGE,
        KafkaError.RECORD_LIST_TOO_LARGE,
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.CLUSTER_AUTHORIZATION_FAILED,
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError._UNKNOWN_TOPIC,  # noqa: SLF001 - the library's name
        KafkaError.INVALID_RECORD,
    ],
)
def test_a_refusal_is_no_perhaps(desk: Desk, code: int) -> None:
    desk.app.bind(Answering(desk.broker, code))

    for enqueue in ways(desk.mail):
        error = told_by(enqueue)
        assert (type(error), error.may_be_written) == (EnqueueError, False)
        assert NOT in str(error)
        assert "may" not in str(error)


def test_a_full_queue_says_that_a_repeat_is_safe(desk: Desk) -> None:
    desk.app.bind(Full(desk.broker))

    for enqueue in ways(desk.mail):
        error = told_by(enqueue)
        assert (type(error), error.may_be_written) == (QueueFull, False)
        assert NOT in str(error)


def test_without_an_answer_it_says_how_long_it_waited_and_that_the_job_may_be_written(
    desk: Desk,
) -> None:
    desk.app.bind(Silent(desk.broker))

    for enqueue in ways(desk.mail)[:2]:
        error = told_by(enqueue)
        assert (type(error), error.may_be_written) == (EnqueueTimeout, True)
        assert "no acknowledgement within 0.2 s" in str(error)
        assert re.search(PERHAPS, str(error))


def test_what_was_not_sent_when_the_time_was_over_is_not_written(desk: Desk) -> None:
    way = Held(desk.broker)
    desk.app.bind(way)
    errors: list[EnqueueError] = []

    async def given_up() -> None:
        with pytest.raises(EnqueueTimeout) as caught:
            await desk.mail.aenqueue(Mail("ann"))
        errors.append(caught.value)
        way.go.set()

    asyncio.run(given_up())

    (error,) = errors
    assert not error.may_be_written
    assert NOT in str(error)
    assert "not sent within 0.2 s" in str(error)
    assert desk.broker.records("shop.default") == []


@pytest.mark.parametrize("desk", ["1m"], indirect=True)
def test_a_schema_that_is_not_written_means_that_the_job_is_not(desk: Desk) -> None:
    desk.broker.fail_publishes(lambda outgoing: outgoing.topic.endswith(".schemas"))

    for enqueue in ways(desk.mail)[:2]:
        error = told_by(enqueue)
        assert (type(error), error.may_be_written) == (EnqueueTimeout, False)
        assert "the schema of 'mail'" in str(error)
        assert NOT in str(error)


def test_an_option_that_the_client_library_refuses_is_a_setting_to_mend() -> None:
    transport = KafkaTransport({"security.protocol": "tls"}, 1_000)

    with pytest.raises(ConfigError, match=r"security\.protocol"):
        transport.submit(Outgoing("t", b"k", b"v"), lambda _error, _partition, _offset: None)
