"""Whether a place may be recorded: nothing below it may need another run, or another hop.

And whether a job comes to its place in time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.simulation.jobs import app

from jobstream.topics.names import worker_group

if TYPE_CHECKING:
    from tests.simulation.ledger import Ledger
    from tests.simulation.seen import Identity

    from jobstream_processors.ports import TopicPartition

LATE_US_MAX = 15_000_000
WORKERS = worker_group(app.name)


def judge_place(ledger: Ledger, group: str, of: TopicPartition, position: int) -> None:
    """What stands below `position` and was not judged yet."""
    topic, partition = of
    incarnation = ledger.incarnation(topic)
    place = (group, incarnation, partition)
    start = ledger.judged.get(place, 0)
    for offset in range(start, position):
        where = (incarnation, partition, offset)
        delivery = ledger.at.get(where)
        if delivery is None:
            continue
        if group == WORKERS:
            settled = any(
                row.fact.absorbs(*delivery[1:]) is not None
                for row in ledger.rows.get(delivery[0], ())
            )
        else:
            settled = ledger.has_gone_on(where, delivery)
        if not settled:
            ledger.violation(
                f"{group} commits {position} of {topic} [{partition}] over job "
                f"{ledger.ids.get(delivery[0])} at {offset}"
            )
    ledger.judged[place] = max(start, position)


def judge_late(ledger: Ledger, delivery: Identity) -> None:
    """A delayed job comes to its queue: not long after its time, unless it was held up."""
    due_ms = ledger.due_ms.get(delivery)
    if due_ms is None or delivery in ledger.arrived:
        return  # A hop that a delayer repeats comes late, and is dropped.
    ledger.arrived.add(delivery)
    due_us = (due_ms - 1_800_000_000_000) * 1_000
    late_us = ledger.scheduler.now_us - max(due_us, ledger.disturbed_us)
    late_us -= ledger.skew_max_ms * 2_000
    if late_us > LATE_US_MAX:
        ledger.violation(f"job {ledger.ids.get(delivery[0])} comes {late_us / 1e6:.1f} s late")
