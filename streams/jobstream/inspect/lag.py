"""Lag in records and in seconds, for queues and rungs, and how many dead letters are open.

Read from the log and the recorded offsets alone, so it holds when every worker is dead.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jobstream.inspect.letters import open_letters
from jobstream.inspect.positions import Standing, standings
from jobstream.inspect.scan import heads

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jobstream.inspect.layout import QueueTopics
    from jobstream.inspect.view import AppView
    from jobstream_processors.ports import TopicPartition


@dataclass(frozen=True, slots=True)
class PartitionLag:
    """One partition of a queue or of a rung."""

    queue: str
    rung: str
    """ "" for the queue itself."""
    standing: Standing
    age_s: float
    """How long the oldest waiting record has been in the log; 0 if none waits.

    By the broker's append time and this machine's clock. On a rung, waiting is what records do.
    """


@dataclass(frozen=True, slots=True)
class QueueLag:
    """One queue: its partitions, those of its rungs, and its open dead letters."""

    queue: str
    partitions: tuple[PartitionLag, ...]
    open_letters: int


def lag(view: AppView, queue: str | None = None) -> list[QueueLag]:
    """The lag of every queue of the app, or of one; blocks for some seconds at most."""
    queues = view.queues(queue)
    named = dict(_places(queues))
    of_queues = [place for place, (_, rung) in named.items() if not rung]
    of_rungs = [place for place, (_, rung) in named.items() if rung]
    found = standings(view, "workers", of_queues) | standings(view, "delay", of_rungs)
    ages = _ages(view, found)
    letters = open_letters(view, queues)
    rows = [
        PartitionLag(*named[place], found[place], ages.get(place, 0.0))
        for place in (*of_queues, *of_rungs)
    ]
    return [
        QueueLag(
            queue=each.name,
            partitions=tuple(row for row in rows if row.queue == each.name),
            open_letters=sum(letter.queue == each.name for letter in letters),
        )
        for each in queues
    ]


def _places(queues: list[QueueTopics]) -> list[tuple[TopicPartition, tuple[str, str]]]:
    """Every partition of queues and rungs, with the names of both."""
    return [
        (place, (queue.name, rung))
        for queue in queues
        for rung, topic in (("", queue.topic), *queue.rungs.items())
        for place in queue.places(topic)
    ]


def _ages(view: AppView, found: Mapping[TopicPartition, Standing]) -> dict[TopicPartition, float]:
    starts = {place: each.position for place, each in found.items() if each.lag}
    oldest = heads(view.options, starts)
    now_ms = time.time_ns() // 1_000_000
    return {
        place: max(0, now_ms - record.timestamp()[1]) / 1000 for place, record in oldest.items()
    }
