"""Reading on: only what is new, again after a failure, from the start of a topic made anew."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from jobstream.errors import BrokerUnavailable
from jobstream.operate.tail import Follower

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from jobstream_processors.ports import Record, TopicPartition

GONE = BrokerUnavailable("gone")
A, B = ("dlq", 0), ("dlq", 1)


class Log:
    """Yields nothing, and keeps the ranges asked for."""

    def __init__(self) -> None:
        self.asked: list[dict[TopicPartition, tuple[int, int]]] = []
        self.broken = False

    def __call__(self, spans: Mapping[TopicPartition, tuple[int, int]]) -> Iterator[Record]:
        self.asked.append(dict(spans))
        if self.broken:
            raise GONE
        return iter(())


@pytest.fixture
def log() -> Log:
    return Log()


@pytest.fixture
def forgotten() -> list[str]:
    return []


@pytest.fixture
def follower(log: Log, forgotten: list[str]) -> Follower:
    return Follower(log, forgotten.append)


def test_only_what_is_new_is_read(follower: Follower, log: Log) -> None:
    list(follower.advance({A: (0, 5), B: (0, 0)}, {"dlq": "1"}))
    list(follower.advance({A: (0, 5), B: (0, 0)}, {"dlq": "1"}))
    list(follower.advance({A: (2, 8), B: (0, 1)}, {"dlq": "1"}))
    list(follower.advance({A: (20, 30), B: (0, 1)}, {"dlq": "1"}))

    assert log.asked == [{A: (0, 5)}, {}, {A: (5, 8), B: (0, 1)}, {A: (20, 30)}]


def test_what_could_not_be_read_is_read_again(follower: Follower, log: Log) -> None:
    log.broken = True
    with pytest.raises(BrokerUnavailable, match="gone"):
        list(follower.advance({A: (0, 5)}, {"dlq": "1"}))
    log.broken = False
    list(follower.advance({A: (0, 6)}, {"dlq": "1"}))

    assert log.asked[-1] == {A: (0, 6)}


def test_a_topic_made_anew_is_read_from_its_start(
    follower: Follower, log: Log, forgotten: list[str]
) -> None:
    list(follower.advance({A: (0, 5)}, {"dlq": "1"}))
    list(follower.advance({A: (0, 9)}, {"dlq": "2"}))

    assert log.asked[-1] == {A: (0, 9)}
    assert forgotten == ["dlq"]
