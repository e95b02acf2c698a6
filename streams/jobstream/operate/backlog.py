"""Estimates how many jobs of each type wait, from a bounded sample of each partition's backlog.

The choice of records and the sum are pure. Of a record only the schema's fingerprint is read.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from jobstream_processors.ports import Record, TopicPartition

    Spans = Mapping[TopicPartition, tuple[int, int]]
    Read = Callable[[Spans], Iterator[Record]]

SAMPLE_MAX = 500
"""Records that one look reads, over all queues."""
SPOTS = 5
"""Places in a partition's backlog where some are read."""


def rounds(backlog: Spans, turn: int) -> list[dict[TopicPartition, tuple[int, int]]]:
    """Ranges to read, one per partition in each round; at most SAMPLE_MAX offsets in all.

    `backlog` is (first waiting offset, end) of partitions where something waits. Beyond SAMPLE_MAX
    partitions each `turn` takes others.
    """
    places = sorted(backlog)
    if len(places) > SAMPLE_MAX:
        first = turn * SAMPLE_MAX % len(places)
        places = (places + places)[first : first + SAMPLE_MAX]
    share = SAMPLE_MAX // max(1, len(places))
    spots = min(SPOTS, share)
    found: list[dict[TopicPartition, tuple[int, int]]] = [{} for _ in range(spots)]
    for place in places:
        start, stop = backlog[place]
        if stop - start <= share:
            found[0][place] = start, stop
            continue
        run, room = share // spots, stop - start
        for number in range(spots):
            # From the middle of each of `spots` equal parts.
            at = start + (2 * number + 1) * room // (2 * spots) - run // 2
            at = min(max(start, at), stop - run)
            found[number][place] = at, at + run
    return [each for each in found if each]


def estimate(
    queues: Mapping[TopicPartition, str],
    backlog: Spans,
    sample: Mapping[TopicPartition, Counter[str]],
    unnamed: str,
) -> dict[tuple[str, str], float]:
    """(queue, job type) → how many wait; sums to the backlog of each queue.

    Partitions without a sample are taken to be like the others of their queue; where there is no
    sample at all, all is `unnamed`.
    """
    waiting: Counter[str] = Counter()
    covered: Counter[str] = Counter()
    weights: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    for place, (start, stop) in backlog.items():
        queue, lag = queues[place], stop - start
        waiting[queue] += lag
        seen = sample.get(place)
        if not seen:
            continue
        covered[queue] += lag
        for job_type, count in seen.items():
            weights[queue][job_type] += lag * count / seen.total()
    found: dict[tuple[str, str], float] = {}
    for queue, lag in waiting.items():
        scale = lag / covered[queue] if covered[queue] else 0.0
        found |= {(queue, name): weight * scale for name, weight in weights[queue].items()}
        if not covered[queue]:
            found[queue, unnamed] = float(lag)
    return found


class Backlog:
    """The estimate, made anew only when something moved. Used by one thread."""

    def __init__(self, read: Read, name_of: Callable[[Record], str], unnamed: str) -> None:
        """`name_of` gives the job type of a record, or whatever is counted; "" if unknown."""
        self._read = read
        self._name_of = name_of
        self._unnamed = unnamed
        self._turn = 0
        self._last: tuple[Spans, dict[tuple[str, str], float]] = {}, {}

    def look(
        self, queues: Mapping[TopicPartition, str], backlog: Spans
    ) -> dict[tuple[str, str], float]:
        """(queue, job type) → about how many wait. Blocks while it reads the sample."""
        seen, found = self._last
        if seen == backlog:
            return found
        sample: dict[TopicPartition, Counter[str]] = defaultdict(Counter)
        for spans in rounds(backlog, self._turn):
            for record in self._read(spans):
                place = record.topic() or "", record.partition() or 0
                sample[place][self._name_of(record) or self._unnamed] += 1
        self._turn += 1
        found = estimate(queues, backlog, sample, self._unnamed)
        self._last = dict(backlog), found
        return found
