"""Gives a queue more partitions: its rows go along, and its topics grow in an order that can die.

A key's partition follows from the count. With a whole multiple of the old count, partition p of old
divides into p, p + old, p + 2 old, and so on: its rows are copied to those, so that what is settled
stays settled wherever its id leads now. What waits stays in its partition: that is refused.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from jobstream.errors import ConfigError, TopicMissing
from jobstream.operate.errors import GroupBusy, GrownMeanwhile, StillWaiting
from jobstream.operate.offsets import refuse_if_busy
from jobstream.operate.positions import standings
from jobstream.operate.scan import unmoved
from jobstream.topics.by_queue import counted
from jobstream_processors.ports import Outgoing
from jobstream_schemas import CLAIM_KEY

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from jobstream.kafka.client.admin import Admin
    from jobstream.operate.layout import QueueTopics
    from jobstream.operate.positions import GroupName
    from jobstream.operate.scan import Progress
    from jobstream.operate.view import AppView
    from jobstream_processors.ports import Sink

    Spans = Mapping[tuple[str, int], tuple[int, int]]

BATCH_MAX = 5_000


class Growth(NamedTuple):
    """A queue as it is, the count that it had, and what each of its topics is to have."""

    queue: QueueTopics
    was: int
    counts: Mapping[str, int]
    """Topic → partitions, as declared."""

    @property
    def to(self) -> int:
        """How many partitions the queue is to have."""
        return self.counts[self.queue.topic]


def plan_growth(
    view: AppView, name: str, declared: Mapping[str, int], was: int | None = None
) -> Growth:
    """Plan the growth of the queue `name`; `declared` has the count of each of its topics.

    `was` is the count that the queue had; by default that of its dead letters, which grow last.
    Raises TopicMissing where one of its topics is not there, ConfigError where there is nothing to
    grow, or no whole multiple.
    """
    queue = view.queues(name)[0]
    if absent := [topic for topic in declared if topic not in view.counts]:
        message = (
            f"queue {name!r} can't grow while topics are missing: {', '.join(absent)}. Declare the "
            "partitions that it had, create what is missing with: jobstream topics apply "
            f"MODULE:APP; then declare {declared[queue.topic]} again and grow it"
        )
        raise TopicMissing(message)
    growth = Growth(queue, was or queue.counts[queue.dlq], declared)
    if growth.to == growth.was:
        message = (
            f"queue {name!r} has as many partitions as it declares, {growth.to}: nothing is left "
            "to grow, unless its dead letters were raised by hand too; then give with --was how "
            "many it had"
        )
        raise ConfigError(message)
    if growth.to % growth.was:
        had = counted(growth.was, "partition")
        message = (
            f"queue {name!r} has {had} and declares {growth.to}: declare a whole "
            f"multiple of {growth.was}, or say with --was how many it had when its dead letters "
            "were raised by hand"
        )
        raise ConfigError(message)
    own = {queue.topic, queue.dedup, queue.dlq}
    above = {t: n for t, n in queue.counts.items() if t in own and n > declared.get(t, n)}
    if above:
        declares = counted(growth.to, "partition")
        message = f"queue {name!r} declares {declares}, and these have more: {above}"
        raise ConfigError(message)
    return growth


def waiting(view: AppView, growth: Growth) -> dict[str, int]:
    """Topic → records that may wait in it, of those partitions that the queue had."""
    queue = growth.queue
    found: dict[str, int] = {}
    groups: tuple[tuple[GroupName, list[str]], ...] = (
        ("workers", [queue.topic]),
        ("delay", [*queue.rungs.values()]),
    )
    for group, topics in groups:
        places = [place for place in queue.places(*topics) if _is_old(place, growth)]
        for place, standing in standings(view, group, places).items():
            if left := standing.high - standing.unfinished:
                found[place[0]] = found.get(place[0], 0) + left
    return found


def refuse_growth(view: AppView, growth: Growth, *, accept_waiting: bool) -> None:
    """Raise GroupBusy while members run, StillWaiting while jobs wait and that is not accepted."""
    refuse_if_busy(view, "workers")
    refuse_if_busy(view, "delay")
    left = {} if accept_waiting else waiting(view, growth)
    if left:
        shown = ", ".join(f"{count} in {topic}" for topic, count in left.items())
        message = (
            f"jobs wait ({shown}): with another count their keys lead to other partitions. Let "
            "them run first, or give --accept-waiting: then later jobs of a key may start before "
            "them, and an enqueue of one of them that is repeated by its idempotency_key runs it "
            "twice"
        )
        raise StillWaiting(message)


def grow(
    view: AppView, admin: Admin, sink: Sink, growth: Growth, progress: Progress = unmoved
) -> int:
    """Carry it out; returns how many rows were copied. Blocks; a second run begins anew.

    Raises PublishFailed, BrokerUnavailable, BrokerRefused: run it again. Raises GroupBusy if a
    worker came up meanwhile: stop it, and run it again. Raises GrownMeanwhile if another run did
    the next step: let it end.
    """
    queue = growth.queue
    _raise(admin, growth, queue.dedup)
    spans = view.cluster.spans(_old_tables(growth))
    copied = _copy_rows(view, sink, growth, spans, progress)
    for topic in (*queue.rungs.values(), queue.topic):
        _raise(admin, growth, topic)
    _refuse_if_served(view, growth, spans)
    _raise(admin, growth, queue.dlq)
    return copied


def _old_tables(growth: Growth) -> list[tuple[str, int]]:
    return [(growth.queue.dedup, number) for number in range(growth.was)]


def _refuse_if_served(view: AppView, growth: Growth, copied: Spans) -> None:
    # Something that starts workers anew may have done so while rows were copied, and what settled
    # then has a row in the old partition alone. A worker that begins leaves at least its claim.
    refuse_if_busy(view, "workers")
    now = view.cluster.spans(_old_tables(growth))
    if any(now[place][1] != end for place, (_, end) in copied.items()):
        message = (
            f"a worker served {growth.queue.topic} while its rows were copied, so some may be "
            "missing: see that none starts, and grow it again"
        )
        raise GroupBusy(message)


def _is_old(place: tuple[str, int], growth: Growth) -> bool:
    # A rung may have fewer partitions than the queue had, and then has no new ones either.
    return place[1] < growth.was or place[0] in growth.queue.rungs.values()


def _raise(admin: Admin, growth: Growth, topic: str) -> None:
    wanted = growth.counts[topic]
    if growth.queue.counts[topic] >= wanted:
        return
    if not admin.add_partitions(topic, wanted):
        message = (
            f"another command has raised {topic} to {wanted} partitions since this one began: let "
            "it finish, then run this one again; it does what is left, if anything"
        )
        raise GrownMeanwhile(message)


def _copy_rows(view: AppView, sink: Sink, growth: Growth, spans: Spans, progress: Progress) -> int:
    copied, copies = 0, _copies(view, growth, spans, progress)
    while batch := list(islice(copies, BATCH_MAX)):
        sink.publish(batch)
        copied += len(batch)
    return copied


def _copies(view: AppView, growth: Growth, spans: Spans, progress: Progress) -> Iterator[Outgoing]:
    topic = growth.queue.dedup
    for record in view.records(spans, progress):
        key, partition = record.key(), record.partition() or 0
        if key == CLAIM_KEY:
            continue  # Who owns the old partition says nothing of the new ones.
        for heir in range(partition + growth.was, growth.to, growth.was):
            yield Outgoing(topic, key, record.value(), heir)
