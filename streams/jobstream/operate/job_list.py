"""The jobs of an app as they stand: what is read for it, from when on, and what was left out.

All partitions are read from one moment on, so that no job's row is missed where its copy was seen.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, NamedTuple

from jobstream.operate.job_states import JobNow, JobStates, Wanted
from jobstream.operate.name_check import unknown_type
from jobstream.operate.positions import standings
from jobstream.operate.scan import heads, unmoved

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Iterable, Mapping, Sequence

    from jobstream.operate.layout import QueueTopics
    from jobstream.operate.positions import GroupPlace
    from jobstream.operate.scan import Progress
    from jobstream.operate.view import AppView
    from jobstream_processors.ports import TopicPartition

    Spans = Mapping[TopicPartition, tuple[int, int]]

RECORDS_MAX = 200_000
"""Of all partitions together, where it is not said since when to look: some seconds' work."""
CLOCKS_APART_MS = 10_000
"""How far the clocks of two brokers may be apart: a row's leader may be another than its job's."""


class JobList(NamedTuple):
    """The jobs and counts of a scan."""

    jobs: list[JobNow]
    """The newest that are wanted."""
    counts: Counter[str]
    """State → how many jobs, of whichever state was wanted."""
    records: int
    """How many records were looked at, at most: compaction leaves gaps."""
    since_ms: int
    """Records appended before this time were not read."""
    older: int
    """Records before that moment that may still wait, on queues and rungs."""


def require_types(view: AppView, wanted: Sequence[str]) -> None:
    """Raise NotThere, listing the app's job types, for one that no schema of the app knows."""
    there = view.catalogue.job_types()
    for given in wanted:
        if not any(fnmatchcase(name, given) for name in there):
            raise unknown_type(view.app, given, there)


def jobs_now(
    view: AppView,
    queues: Sequence[QueueTopics],
    wanted: Wanted,
    running: Iterable[JobNow],
    *,
    most: int | None = None,
    progress: Progress = unmoved,
) -> JobList:
    """Look at what these queues' topics hold since `wanted.since_ms`; blocks while reading.

    `running` is what processes said just before. Where there are more than `most` records, the look
    begins later, so that no partition has more than its share looked at.
    """
    waiting = _standings(view, queues)
    settled = [place for queue in queues for place in queue.places(queue.dedup, queue.dlq)]
    # Rows end where they end now, and copies later: a job that is retried in between is seen twice,
    # which is mended, and never not at all.
    ends = view.cluster.spans(settled)
    ends |= view.cluster.spans(waiting)
    since_ms, spans = _window(view, ends, waiting, wanted.since_ms, most)
    wanted = wanted._replace(since_ms=since_ms)
    states = JobStates(view.catalogue, waiting, wanted)
    owners = {topic: queue for queue in queues for topic in queue.counts}
    rungs = {topic: rung for queue in queues for rung, topic in queue.rungs.items()}
    records = sum(stop - start for start, stop in spans.values())
    copies = {place: spans[place] for place in waiting}
    for record in view.records(copies, lambda done, _: progress(done, records)):
        topic = record.topic() or ""
        states.copy(record, owners[topic].name, rungs.get(topic, ""))
    read = sum(stop - start for start, stop in copies.values())
    ended = {place: spans[place] for place in settled}
    for record in view.records(ended, lambda done, _: progress(read + done, records)):
        queue = owners[record.topic() or ""]
        take = states.letter if record.topic() == queue.dlq else states.row
        take(record, queue.name)
    jobs, counts = states.found(running)
    older = sum(
        max(0, min(spans[place][0], each.high) - each.unfinished) for place, each in waiting.items()
    )
    return JobList(jobs, counts, records, since_ms, older)


def _standings(view: AppView, queues: Sequence[QueueTopics]) -> dict[TopicPartition, GroupPlace]:
    """Where workers and delayers stand on every partition whose copies may have to run."""
    topics = [place for queue in queues for place in queue.places(queue.topic)]
    rungs = [place for queue in queues for place in queue.places(*queue.rungs.values())]
    return standings(view, "workers", topics) | standings(view, "delay", rungs)


def _window(
    view: AppView,
    ends: Spans,
    waiting: Mapping[TopicPartition, GroupPlace],
    since_ms: int,
    most: int | None,
) -> tuple[int, Spans]:
    """From when on to look, and which offsets those are."""
    spans = _since(view, ends, waiting, since_ms)
    lengths = {place: stop - start for place, (start, stop) in spans.items() if start < stop}
    if most is None or sum(lengths.values()) <= most:
        return since_ms, spans
    share = max(1, most // len(lengths))
    cut = {place: ends[place][1] - share for place, n in lengths.items() if n > share}
    times = [record.timestamp()[1] for record in heads(view.options, cut).values()]
    since_ms = max(since_ms, *times)
    later = _since(view, ends, waiting, since_ms)
    return since_ms, {at: (max(start, stop - share), stop) for at, (start, stop) in later.items()}


def _since(
    view: AppView, ends: Spans, waiting: Mapping[TopicPartition, GroupPlace], since_ms: int
) -> Spans:
    starts = view.cluster.at_time(waiting, since_ms)
    settled = [place for place in ends if place not in waiting]
    starts |= view.cluster.at_time(settled, max(0, since_ms - CLOCKS_APART_MS))
    found = {}
    for place, (low, stop) in ends.items():
        first = waiting[place].unfinished if place in waiting else low
        start = max(low, first, starts[place])
        found[place] = min(start, stop), stop
    return found
