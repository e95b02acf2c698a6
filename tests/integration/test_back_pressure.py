"""Bounds of a queue on a real Kafka: workers that really run, forks, and brokers that are away."""

from __future__ import annotations

import os
import threading
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from tests.harness.served import Served
from tests.harness.waiting import wait_until

from jobstream import App, EnqueueError, Job, QueueBehind
from jobstream.enqueue.lag_watch import THREAD

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jobstream.broker.embedded import EmbeddedKafka

SOON_S = 120.0


@dataclass(frozen=True)
class Mail:
    to: str


@dataclass
class Shop:
    served: Served
    send: Job[Mail, Any]
    released: threading.Event

    def refused(self) -> QueueBehind | None:
        try:
            self.send.enqueue(Mail("a"))
        except QueueBehind as error:
            return error
        return None


@pytest.fixture
def shop(kafka: EmbeddedKafka) -> Iterator[Shop]:
    app = App(f"door-{uuid.uuid4().hex[:8]}", bootstrap_servers=kafka.bootstrap_servers)
    released = threading.Event()

    @app.job(queue=app.queue("mail", partitions=2, depth_max=20), timeout="10m")
    def send(args: Mail) -> None:
        del args
        released.wait(SOON_S)

    served = Served(app)
    yield Shop(served, send, released)
    released.set()
    served.close()


def looking() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == THREAD]


@pytest.mark.kafka
def test_a_worker_that_comes_no_further_closes_the_door_and_one_that_does_opens_it(
    shop: Shop,
) -> None:
    shop.served.start()

    refusal = wait_until(shop.refused, "an enqueue is refused", limit_s=SOON_S)
    assert refusal is not None
    assert refusal.depth >= 20

    shop.released.set()
    wait_until(lambda: shop.refused() is None, "an enqueue passes", limit_s=SOON_S)
    shop.served.app.close()
    wait_until(lambda: not looking(), "the thread that looks has ended", limit_s=SOON_S)


@pytest.mark.kafka
def test_a_forked_child_looks_for_itself(shop: Shop) -> None:
    shop.served.start()
    wait_until(shop.refused, "an enqueue is refused", limit_s=SOON_S)

    child = os.fork()
    if not child:
        try:
            wait_until(shop.refused, "an enqueue is refused", limit_s=SOON_S)
        except BaseException:  # noqa: BLE001 - a child of a test ends here, whatever happens
            os._exit(1)
        os._exit(0 if looking() else 2)
    _, status = os.waitpid(child, 0)

    assert os.waitstatus_to_exitcode(status) == 0


def test_where_no_broker_answers_nothing_is_refused(caplog: pytest.LogCaptureFixture) -> None:
    app = App("shop", bootstrap_servers="127.0.0.1:1", enqueue_timeout="200ms")
    send = app.declare("send", Mail, queue=app.queue("mail", depth_max=1))
    (door,) = app._connection.doors  # noqa: SLF001 - what metrics show

    for _ in range(3):
        with pytest.raises(EnqueueError) as caught:
            send.enqueue(Mail("a"))
        assert not isinstance(caught.value, QueueBehind)

    wait_until(lambda: door.is_blind, "it knows that it knows nothing", limit_s=SOON_S)
    assert caplog.messages.count("back_pressure_blind") == 1
    app.close()
    wait_until(lambda: not looking(), "the thread that looks has ended", limit_s=SOON_S)
