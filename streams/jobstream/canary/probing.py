"""A probe of one queue: its partition, its result, and when the next is due. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from jobstream_processors.core import known
from jobstream_processors.core.partition import partition_for
from jobstream_schemas import DecodeError, parse_row

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from jobstream_processors.ports import Record

ENQUEUE, TIMEOUT = "enqueue", "timeout"
"""Why a probe failed: the job was not acknowledged; no row of it came in time."""


@dataclass(frozen=True, slots=True)
class Probed:
    """The result of one probe."""

    queue: str
    partition: int
    job_id: str
    seconds: float
    """From the enqueue to the row, by the canary's own clock."""
    failure: str = ""
    """"" if the job was done; else `enqueue`, `timeout`, or the other state it ended in."""
    detail: str = ""


def id_on(partition: int, count: int, draw: Callable[[], str]) -> str:
    """An id whose job lands on that partition of `count`; draws until one does.

    A job without an order key goes where its id leads. So a canary reaches every partition without
    giving its jobs what other jobs do not have.
    """
    while partition_for((job_id := draw()).encode(), count) != partition:
        pass
    return job_id


def end_of(job_id: str, records: Iterable[Record]) -> str | None:
    """The terminal state that one of these rows gives the job; None if none does.

    Rows of other jobs, and rows that cannot be read, are passed over.
    """
    begin = f"job:{job_id}:".encode()
    for record in records:
        key, value = record.key() or b"", record.value()
        if value is None or not key.startswith(begin):
            continue
        try:
            state = parse_row(key, value).state
        except DecodeError:
            continue
        return state if state in known.TERMINAL else known.OTHER
    return None


def verdict(probed: Probed, state: str | None) -> Probed:
    """The probe with what its row says; `done` alone is success."""
    if state == known.DONE:
        return probed
    failure = state or TIMEOUT
    return replace(probed, failure=failure)


def pause_s(interval_s: float, took_s: float) -> float:
    """How long until the next probe: intervals run from start to start, and none overlap."""
    return max(0.0, interval_s - took_s)
