"""Closes dead letters: redriven, which puts the job back on its queue first, or discarded.

The order is the guarantee: the job's copy is acknowledged before the tombstone is sent. If the
redriver dies in between, the letter stays open although its job is back on the queue; the
partition's owner closes it.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

from jobstream.errors import ConfigError
from jobstream.operate.open_letters import Letter, Original, with_originals
from jobstream.operate.scan import place_of
from jobstream_processors.core.closings import DISCARDED, REDRIVEN, Closing, closing_headers
from jobstream_processors.core.headers import render
from jobstream_processors.core.letters import redriven
from jobstream_processors.errors import PublishFailed
from jobstream_processors.ports import Outgoing

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from jobstream.operate.layout import QueueTopics
    from jobstream.operate.view import AppView
    from jobstream_processors.ports import TopicPartition

BATCH_MAX = 500
ELSEWHERE = "it was closed in the meantime"
_PER_S = {"s": 1, "m": 60, "h": 3600}
_SLOWEST_PER_S = 1 / 86_400
"""Slower ones lead to a pause longer than a thread can wait."""


class Publisher(Protocol):
    """The part of a sink that closing letters needs."""

    def publish(self, records: Sequence[Outgoing]) -> Mapping[TopicPartition, int]:
        """Block until every record is acknowledged; raises PublishFailed."""


@dataclass(frozen=True, slots=True)
class Closed:
    """The result for one letter. `failed` leaves it open."""

    letter: Letter
    outcome: Literal["redriven", "discarded", "closed", "failed"]
    """`closed`: somebody else had closed it since it was listed, so nothing was done."""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Rate:
    """At most so many a second."""

    per_s: float

    @property
    def batch(self) -> int:
        """How many may go at once: a second's worth, at least one."""
        return max(1, min(BATCH_MAX, int(self.per_s)))

    def wait_s(self, sent: int, elapsed_s: float) -> float:
        """How long to hold back after `sent` jobs in `elapsed_s`; 0 if behind."""
        return max(0.0, sent / self.per_s - elapsed_s)


def read_rate(text: str) -> Rate:
    """A rate as in "50/s", "100/m" or "50"; raises ConfigError."""
    number, _, unit = text.strip().partition("/")
    try:
        per_s = float(number) / _PER_S[unit or "s"]
    except (ValueError, KeyError):
        per_s = 0.0
    if not _SLOWEST_PER_S <= per_s < float("inf"):
        message = f"{text!r:.100} is not a rate: write 50/s, 100/m or 500/h; at least one a day"
        raise ConfigError(message)
    return Rate(per_s)


@dataclass(frozen=True, slots=True)
class By:
    """Who closes letters, and why: the tombstones say so for a week."""

    who: str = ""
    why: str = ""

    def closing(self, how: str, letter: Letter, fixed_by: str = "") -> Closing:
        """What the tombstone of the letter says."""
        return Closing(how, self.who, self.why, fixed_by, letter.fingerprint)


NOBODY = By()


def redrive(
    view: AppView,
    sink: Publisher,
    letters: Iterable[Letter],
    rate: Rate | None = None,
    by: By = NOBODY,
) -> Iterator[Closed]:
    """Put each letter's job back on its queue, then close the letter; tells each as it is done.

    Blocks for the acknowledgements, and to keep the rate. A job comes back with the next redrive
    number and its attempts anew, on the partition it died on. A letter that somebody has closed
    since it was listed is left, up to the moment in which its batch goes. A return does not prove
    that the job will run: one that is done meanwhile is dropped.
    """
    chosen = list(letters)
    queues = {queue.name: queue for queue in view.queues()}
    closures = Closures(view, chosen)
    size, sent, began = rate.batch if rate else BATCH_MAX, 0, time.monotonic()
    pause = threading.Event()
    for start in range(0, len(chosen), size):
        batch = chosen[start : start + size]
        found = list(with_originals(view, batch))
        gone = closures.among(batch)
        yield from (Closed(letter, "closed", ELSEWHERE) for letter in gone.values())
        left = [each for each in found if each[0].place not in gone]
        yield from redrive_batch(sink, queues, left, by)
        sent += len(batch)
        if rate is not None and sent < len(chosen):
            pause.wait(rate.wait_s(sent, time.monotonic() - began))


def discard(
    view: AppView, sink: Publisher, letters: Iterable[Letter], by: By = NOBODY
) -> Iterator[Closed]:
    """Close letters without running their jobs; blocks for the acknowledgements.

    A letter that was closed since it was listed is reported as `closed`: its job may run.
    """
    chosen = list(letters)
    closures = Closures(view, chosen)
    for start in range(0, len(chosen), BATCH_MAX):
        batch = chosen[start : start + BATCH_MAX]
        gone = closures.among(batch)
        yield from (Closed(letter, "closed", ELSEWHERE) for letter in gone.values())
        left = [each for each in batch if each.place not in gone]
        yield from discard_batch(sink, left, by)


def discard_batch(sink: Publisher, batch: Sequence[Letter], by: By = NOBODY) -> Iterator[Closed]:
    """Close some letters; those that are not acknowledged are reported as failed."""
    failed = publish(sink, [tombstone(letter, by.closing(DISCARDED, letter)) for letter in batch])
    for index, letter in enumerate(batch):
        reason = failed.get(index)
        yield Closed(letter, "failed", reason) if reason else Closed(letter, "discarded")


class Closures:
    """Which of the letters that were listed somebody has closed since. Reads on with each look."""

    def __init__(self, view: AppView, listed: Iterable[Letter]) -> None:
        self._view = view
        self._next: dict[TopicPartition, int] = {}
        # The list was made from all that stood there, so what closes a letter stands after it all.
        for topic, partition, offset in (letter.place for letter in listed):
            place = (topic, partition)
            self._next[place] = max(self._next.get(place, 0), offset + 1)
        self._closed: set[tuple[TopicPartition, bytes]] = set()

    def among(self, batch: Sequence[Letter]) -> Mapping[tuple[str, int, int], Letter]:
        """Those of `batch` that are closed by now, by place; blocks while what is new is read."""
        places = {letter.place[:2] for letter in batch}
        ends = {place: high for place, (_, high) in self._view.cluster.spans(places).items()}
        spans = {place: (self._next[place], end) for place, end in ends.items()}
        for record in self._view.records(spans):
            topic, partition, _ = place_of(record)
            closing = ((topic, partition), record.key() or b"")
            (self._closed.add if record.value() is None else self._closed.discard)(closing)
        self._next |= ends
        return {
            letter.place: letter
            for letter in batch
            if (letter.place[:2], letter.key) in self._closed
        }


def redrive_batch(
    sink: Publisher,
    queues: Mapping[str, QueueTopics],
    batch: Sequence[tuple[Letter, Original | Exception]],
    by: By = NOBODY,
) -> Iterator[Closed]:
    """Put back and close some letters: all copies acknowledged first, then the tombstones."""
    ready: list[tuple[Letter, Outgoing]] = []
    for letter, found in batch:
        if letter.trouble or isinstance(found, Exception):
            yield Closed(letter, "failed", letter.trouble or str(found))
        else:
            ready.append((letter, copy_of(letter, found, queues[letter.queue])))
    unsent = publish(sink, [copy for _, copy in ready])
    for index, reason in unsent.items():
        yield Closed(ready[index][0], "failed", f"its job was not acknowledged: {reason}")
    sent = [letter for index, (letter, _) in enumerate(ready) if index not in unsent]
    unclosed = publish(sink, [tombstone(letter, by.closing(REDRIVEN, letter)) for letter in sent])
    for index, letter in enumerate(sent):
        # Its job is on the queue: the letter is closed by the owner of the partition instead.
        still_open = f"the letter is still open: {unclosed[index]}" if index in unclosed else ""
        yield Closed(letter, "redriven", still_open)


def copy_of(letter: Letter, original: Original, queue: QueueTopics) -> Outgoing:
    """The record that puts the job back: its own bytes, the next redrive, nothing else of ours."""
    carried = redriven(letter.carried)
    partition = carried.partition if carried.partition is not None else letter.place[1]
    headers = render(carried, original.headers)
    return Outgoing(queue.topic, original.key, original.value, partition, headers)


def tombstone(letter: Letter, closing: Closing) -> Outgoing:
    """The record that closes the letter and says how."""
    topic, partition, _ = letter.place
    return Outgoing(topic, letter.key, None, partition, closing_headers(closing))


def publish(sink: Publisher, records: Sequence[Outgoing]) -> dict[int, str]:
    """Send all; the reasons of those that were not acknowledged, by index."""
    try:
        sink.publish(records)
    except PublishFailed as error:
        return {index: failure.reason for index, failure in error.failures.items()}
    return {}
