"""The rows of rates that are used up for longer; they stand before the rows of the jobs.

So the next owner of the partition knows of every start that it sees settled, and of every moment
that was promised to a job on the ladder, as long as the rate is the same. Until when a rate is
slowed down, it knows at any rate.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from jobstream_processors.core.gcra import NEAR_MS, name_at
from jobstream_processors.ports import Outgoing
from jobstream_processors.row_facts import fact_of
from jobstream_schemas import Row, encode_row, row_key

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jobstream_processors.core.known import Known
    from jobstream_processors.delivery import Decided


class LimitRow(NamedTuple):
    """The record of one row, and what it lets the table know."""

    record: Outgoing
    fact: tuple[str, Known]


def limit_rows(items: Sequence[Decided], place: tuple[str, int], now_ms: int) -> list[LimitRow]:
    """The rows of these, to that partition of the dedup topic; one for each rate, or two."""
    found: dict[str, LimitRow] = {}
    for delivery, _ in items:
        for name, meter in delivery.limited:
            # The event loop goes on counting meanwhile.
            pace, paid, promised = meter.standing()
            if promised - now_ms <= NEAR_MS:
                continue
            paced = name_at(name, pace)
            rows = [Row("limit", paced, at=now_ms, due=promised, detail=str(paid))]
            if meter.slowed_ms - now_ms > NEAR_MS:
                rows.append(Row("limit", name, at=now_ms, due=meter.slowed_ms))
            for row in rows:
                record = Outgoing(place[0], row_key(row), encode_row(row), place[1])
                found[row.id] = LimitRow(record, (row.id, fact_of(row)))
    return list(found.values())
