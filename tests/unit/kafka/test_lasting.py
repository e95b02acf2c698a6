"""A producer that gets no answer is replaced once it is old, and goes on with what it has."""

from __future__ import annotations

import socket
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from jobstream.kafka.produce import lasting
from jobstream.kafka.produce.lasting import Lasting, Unserved

if TYPE_CHECKING:
    from collections.abc import Iterator

    from confluent_kafka import KafkaError, Message

LIMIT_S = 60.0


@pytest.fixture
def nowhere() -> Iterator[str]:
    """The address of a server that accepts connections and says nothing."""
    with closing(socket.socket()) as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        yield f"127.0.0.1:{server.getsockname()[1]}"


@pytest.fixture
def producers(nowhere: str) -> Lasting[Unserved]:
    options = {"bootstrap.servers": nowhere, "message.timeout.ms": 100, "log_level": 0}
    return Lasting(lambda: Unserved(options))


def send(by: Unserved) -> None:
    """A record that nobody takes: `by` hears of that."""
    told: list[KafkaError] = []

    def report(error: KafkaError | None, _: Message) -> None:
        assert error is not None
        told.append(error)
        by.told(error)

    by.producer.produce("t", b"x", on_delivery=report)
    by.flush(LIMIT_S)
    assert told


def test_an_old_one_makes_way(
    producers: Lasting[Unserved], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lasting, "OLD_S", 0.0)
    first = producers.get()

    send(first)

    assert producers.get() is not first
    assert not first.broken, "what it still has is not dropped"


def test_a_young_one_stays(producers: Lasting[Unserved]) -> None:
    first = producers.get()

    send(first)

    assert producers.get() is first
