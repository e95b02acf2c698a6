"""Whether a place may be recorded: nothing below it may need another run, or another hop."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.simulation.jobs import app

from jobstream.topics.names import worker_group

if TYPE_CHECKING:
    from tests.simulation.ledger import Ledger

    from jobstream_processors.ports import TopicPartition

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
