"""What a row of the dedup table lets it know: from the shape on the wire to what is decided by."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobstream_processors.core.key_facts import facts_of_row
from jobstream_processors.core.known import of_row

if TYPE_CHECKING:
    from jobstream_processors.core.key_facts import KeyFacts
    from jobstream_processors.core.known import Known
    from jobstream_schemas import Row


def fact_of(row: Row) -> Known:
    """What a row lets the table know of its id."""
    numbers = (row.redrive, row.seq, row.attempt)
    fact = of_row(row.kind, row.state, numbers, row.due, row.detail)
    return fact._replace(identity=(row.fingerprint, row.digest))


def key_fact_of(row: Row) -> tuple[str, KeyFacts] | None:
    """What a unique row lets the table know, and of which key; None if it can't be read."""
    return facts_of_row(row.state, row.id, (row.redrive, row.seq), row.due, row.detail)
