"""What a queue with bounds promises to those who enqueue, in memory and on Kafka alike.

The workers' marks are written by hand: a mirror says how far they came.
"""

from __future__ import annotations

import asyncio
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from tests.harness.waiting import wait_until

from jobstream import App, EnqueuesFailed, QueueBehind, QueueFull
from jobstream.testing.memory_broker import MemoryBroker
from jobstream.testing.memory_log import MemoryLog
from jobstream.testing.memory_sink import MemorySink
from jobstream.testing.memory_transport import MemoryTransport
from jobstream.topics.names import offsets_topic, schemas_topic
from jobstream_processors.ports import Outgoing
from jobstream_schemas import Mirror, encode_mirror, mirror_key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from jobstream import Job
    from jobstream.broker.embedded import EmbeddedKafka
    from jobstream_processors.ports import Log, Sink

SOON_S = 180.0


@dataclass(frozen=True)
class Mail:
    to: str


class Shop:
    """An app whose queue has one partition, and the marks of workers that are not there."""

    def __init__(self, kind: str, kafka: EmbeddedKafka | None, bounds: dict[str, Any]) -> None:
        servers = kafka.bootstrap_servers if kafka is not None else None
        self.app = App(f"door-{uuid.uuid4().hex[:8]}", bootstrap_servers=servers)
        self.queue = self.app.queue("mail", partitions=1, **bounds)
        self.send: Job[Mail, Any] = self.app.declare("send", Mail, queue=self.queue)
        self.topic = self.app.plan(self.queue).topic
        self.is_memory = kind == "memory"
        self.broker = MemoryBroker()
        self.log: Log
        self._sink: Sink
        if self.is_memory:
            self.log, self._sink = MemoryLog(self.broker), MemorySink(self.broker)
            offsets, schemas = offsets_topic(self.app.name), schemas_topic(self.app.name)
            for name in (self.topic, offsets, schemas):
                self.broker.create_topic(name, compacted=name != self.topic)
            self.app.bind(MemoryTransport(self.broker))
        else:
            from tests.harness.served import Served  # noqa: PLC0415 - needs the client library

            self._served = Served(self.app)
            self.log, self._sink = self._served.log, self._served._sink  # noqa: SLF001 - as a worker has it

    def worker_came_to(self, position: int, *finished: tuple[int, int]) -> None:
        """A worker says how far it came."""
        topic_id = self.log.topic_id(self.topic)
        told = Mirror(self.app.name, self.topic, topic_id, 0, position, finished, 0, 0)
        topic = offsets_topic(self.app.name)
        self._sink.publish([Outgoing(topic, mirror_key(told), encode_mirror(told))])

    def fill(self, jobs: int) -> None:
        """Put records on the queue, past the door."""
        self._sink.publish([Outgoing(self.topic, b"k", b"%d" % n, 0) for n in range(jobs)])

    def refused(self) -> QueueBehind | None:
        """Enqueue one; the refusal, or None if it passed."""
        try:
            self.send.enqueue(Mail("a"))
        except QueueBehind as error:
            return error
        return None

    def refusal(self) -> QueueBehind:
        """Enqueue until it is refused: from Kafka a look comes a little later."""
        if self.is_memory:
            found = self.refused()
        else:
            found = wait_until(self.refused, "an enqueue is refused", limit_s=SOON_S)
        assert found is not None
        return found

    def passes(self) -> None:
        """Enqueue until it is not refused."""
        if self.is_memory:
            assert self.refused() is None
        else:
            wait_until(lambda: self.refused() is None, "an enqueue passes", limit_s=SOON_S)

    def refuses_by(self, way: Callable[[], object]) -> None:
        """Refuses what is enqueued in that way, and writes nothing.

        From Kafka, a look may fail meanwhile, which lets all pass until the next one.
        """

        def is_refused() -> bool:
            before = self.end
            try:
                way()
            except QueueBehind:
                return self.end == before
            return False

        if self.is_memory:
            assert is_refused()
        else:
            wait_until(is_refused, "it is refused and not written", limit_s=SOON_S)

    @property
    def end(self) -> int:
        return self.log.span((self.topic, 0))[1]

    def close(self) -> None:
        if self.is_memory:
            self.app.bind(None)
        else:
            self._served.close()


@pytest.fixture(params=["memory", pytest.param("kafka", marks=pytest.mark.kafka)])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def bounds() -> dict[str, Any]:
    return {"depth_max": 10}


@pytest.fixture
def shop(kind: str, bounds: dict[str, Any], request: pytest.FixtureRequest) -> Iterator[Shop]:
    made = Shop(kind, request.getfixturevalue("kafka") if kind == "kafka" else None, bounds)
    yield made
    made.close()


def test_a_queue_over_its_depth_refuses_and_writes_nothing(shop: Shop) -> None:
    shop.worker_came_to(0)
    shop.fill(20)

    refusal = shop.refusal()

    shop.refuses_by(lambda: shop.send.enqueue(Mail("a")))
    assert isinstance(refusal, QueueFull)
    assert refusal.may_be_written is False
    assert (refusal.queue, refusal.bound, refusal.depth_max) == ("mail", "depth_max", 10)
    assert 20 <= refusal.depth <= shop.end
    assert 1 <= refusal.retry_after <= 60
    assert refusal.age is None


def test_it_passes_again_once_workers_came_far_enough(shop: Shop) -> None:
    shop.worker_came_to(0)
    shop.fill(20)
    shop.refusal()

    shop.worker_came_to(shop.end - 2)

    shop.passes()


def test_what_is_finished_above_the_watermark_does_not_count(shop: Shop) -> None:
    shop.worker_came_to(0)
    shop.fill(20)
    shop.refusal()

    # One long job holds the watermark at 0.
    shop.worker_came_to(0, (1, shop.end))

    shop.passes()


def test_before_any_worker_came_nothing_is_refused(shop: Shop) -> None:
    shop.fill(20)

    for _ in range(3):
        shop.send.enqueue(Mail("a"))
    (door,) = shop.app._connection.doors  # noqa: SLF001 - what metrics show
    wait_until(lambda: door.is_blind, "it knows that it knows nothing", limit_s=SOON_S)
    assert shop.refused() is None


@pytest.mark.parametrize("bounds", [{"age_max": "1h"}])
def test_an_age_that_nothing_has_reached_refuses_nothing(shop: Shop) -> None:
    shop.worker_came_to(0)
    shop.fill(20)

    shop.passes()


@pytest.mark.parametrize("bounds", [{"age_max": "5s"}])
def test_a_job_that_waits_for_too_long_closes_the_door_however_few_wait(shop: Shop) -> None:
    shop.worker_came_to(0)
    shop.fill(1)
    shop.broker.clock.advance(6_000)

    refusal = shop.refusal()

    assert (refusal.bound, refusal.age_max) == ("age_max", 5.0)
    assert refusal.age is not None
    assert refusal.age >= 5
    shop.worker_came_to(shop.end)
    shop.passes()


def test_coroutines_and_many_are_refused_alike(shop: Shop) -> None:
    shop.worker_came_to(0)
    shop.fill(20)
    shop.refusal()

    async def send() -> None:
        await shop.send.aenqueue(Mail("a"))

    async def send_many() -> None:
        await shop.send.aenqueue_many([Mail("a")])

    shop.refuses_by(lambda: asyncio.run(send()))
    shop.refuses_by(lambda: asyncio.run(send_many()))
    shop.refuses_by(lambda: shop.send.enqueue_many([Mail("a"), Mail("b")]))


@pytest.mark.parametrize("bounds", [{"depth_max": 10, "mode": "warn"}])
def test_to_warn_is_not_to_refuse(shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
    shop.worker_came_to(0)
    shop.fill(20)

    def told() -> bool:
        shop.send.enqueue(Mail("a"))
        return "queue_over_bound" in caplog.messages

    def counted() -> bool:
        shop.send.enqueue(Mail("a"))
        return door.counts["depth_max"] >= 6

    wait_until(told, "it is in the log", limit_s=SOON_S)
    (door,) = shop.app._connection.doors  # noqa: SLF001 - what metrics show
    # A look that fails lets some pass uncounted.
    wait_until(counted, "six are counted", limit_s=SOON_S)
    assert caplog.messages.count("queue_over_bound") == 1


def test_many_that_close_the_door_behind_them_tell_what_was_refused(shop: Shop) -> None:
    if not shop.is_memory:
        pytest.skip("when a look comes is no promise")
    shop.worker_came_to(0)

    with pytest.raises(EnqueuesFailed) as caught:
        shop.send.enqueue_many([Mail(str(number)) for number in range(15)])

    failed = caught.value
    assert (failed.failed, failed.unknown) == (5, 0)
    assert set(failed.failures) == set(range(10, 15))
    assert all(isinstance(error, QueueBehind) for error in failed.failures.values())
    assert shop.end == 10
