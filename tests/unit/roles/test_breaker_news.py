"""News of an opening: written on a thread of its own, and never an error of the worker."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from jobstream.roles.breaker_news import THREAD, BreakerNews
from jobstream.testing import MemoryBroker, MemorySink, VirtualClock
from jobstream_processors.assignment.pulse import GuardedSink, Pulse
from jobstream_schemas import decode_control

if TYPE_CHECKING:
    from collections.abc import Callable

TOPIC = "shop.control"
LIMIT_S = 120.0


@pytest.fixture
def broker() -> MemoryBroker:
    made = MemoryBroker(VirtualClock())
    made.create_topic(TOPIC, 1, compacted=True)
    return made


def news(broker: MemoryBroker, apart: Callable[[Callable[[], None]], object]) -> BreakerNews:
    return BreakerNews(MemorySink(broker), "shop", "host:7", apart)


def test_it_returns_before_anything_is_written(broker: MemoryBroker) -> None:
    later: list[Callable[[], None]] = []
    news(broker, later.append).tell("smtp", "3 of 3", 30_000)
    assert broker.records(TOPIC) == []

    later[0]()

    (record,) = broker.records(TOPIC)
    assert record.key() == b"breaker_opened:smtp"
    said = decode_control(record.value() or b"")
    assert (said.who, said.why, said.lasts_ms) == ("host:7", "3 of 3", 30_000)


def test_what_it_says_stays_within_the_bounds_of_an_entry(broker: MemoryBroker) -> None:
    news(broker, lambda write: write()).tell("smtp", "x" * 2_000, 1)

    said = decode_control(broker.records(TOPIC)[0].value() or b"")
    assert (len(said.why), said.lasts_ms) == (500, 1_000)


def test_a_thread_of_its_own_writes_it(broker: MemoryBroker) -> None:
    BreakerNews(MemorySink(broker), "shop", "host:7").tell("smtp", "3 of 3", 30_000)

    for thread in [each for each in threading.enumerate() if each.name == THREAD]:
        thread.join(LIMIT_S)
    assert len(broker.records(TOPIC)) == 1


def test_a_topic_that_cannot_be_written_is_a_warning(
    broker: MemoryBroker, caplog: pytest.LogCaptureFixture
) -> None:
    broker.fail_publishes(1, fate="absent")
    news(broker, lambda write: write()).tell("smtp", "3 of 3", 30_000)

    assert caplog.messages == ["breaker_news_unsent"]


def test_a_worker_that_others_replaced_says_nothing(
    broker: MemoryBroker, caplog: pytest.LogCaptureFixture
) -> None:
    pulse = Pulse(broker.clock, 1_000)
    pulse.stop("it was frozen")
    sink = GuardedSink(MemorySink(broker), pulse)
    BreakerNews(sink, "shop", "host:7", lambda write: write()).tell("smtp", "3 of 3", 30_000)

    assert broker.records(TOPIC) == []
    assert caplog.messages == ["breaker_news_unsent"]


def test_where_no_thread_can_be_started_it_is_a_warning(
    broker: MemoryBroker, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(_: Callable[[], None]) -> None:
        message = "can't start new thread"
        raise RuntimeError(message)

    news(broker, refuse).tell("smtp", "3 of 3", 30_000)

    assert caplog.messages == ["breaker_news_unsent"]
