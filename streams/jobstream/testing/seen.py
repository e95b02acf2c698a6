"""Reads an app's jobs from the log: which were enqueued, and how they ended."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

from jobstream.testing.rows import parsed
from jobstream_processors.core.headers import FIRST, Carried, headers_of, parse
from jobstream_processors.core.known import DEAD, DONE, UNKNOWN, Known, state_of
from jobstream_processors.core.outcome import JobOutcome
from jobstream_processors.errors import BadHeaders
from jobstream_processors.row_facts import fact_of
from jobstream_schemas import DecodeError
from jobstream_schemas.secret import shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from jobstream.app import App
    from jobstream.job import Job
    from jobstream.testing.memory_broker import MemoryBroker
    from jobstream.testing.memory_record import MemoryRecord
    from jobstream_processors.queue_plan import QueuePlan
    from jobstream_schemas import Catalogue, Row

WAITING = "waiting"
"""The state of a job that has no terminal state: queued, delayed or to be retried."""


@dataclass(frozen=True, slots=True)
class SeenJob:
    """One job of the log."""

    id: str
    name: str
    """Of its job type; the present name where it was enqueued under an alias."""
    args: Any
    """None where the app has no such type, or this version of it cannot have them."""
    queue: str
    key: str | None
    """Its order key."""
    enqueued_ms: int
    redrive: int = 0
    """The highest redrive number of any of its records."""
    state: str = WAITING
    """"waiting", "done", "dead", "cancelled", "expired" or "duplicate"."""
    attempt: int = 0
    """The attempt that settled it; 0 while it waits."""
    reason: str = ""
    """Why it ended, in a word, if not by being done."""
    error: str = ""
    """Of a job that is not done: the class of its last error."""
    message: str = ""
    """Of a job that is not done: the text of its last error."""
    traceback: str = ""
    """Of a job that is not done: the traceback of that error, at most 8,000 bytes in UTF-8."""

    def __repr__(self) -> str:
        """As a dataclass's own, without the values of secret fields."""
        told = ((field.name, getattr(self, field.name)) for field in fields(self))
        return f"SeenJob({', '.join(f'{name}={shown(value)}' for name, value in told)})"


def jobs_of(app: App, broker: MemoryBroker, catalogue: Catalogue) -> list[SeenJob]:
    """Every readable job of the app's queues and ladders, in the order of their first append."""
    jobs: dict[str, SeenJob] = {}
    types = {name: job for job in app.jobs.values() for name in (job.name, *job.aliases)}
    for plan in app.plans().values():
        records = _appended(broker, [plan.topic, *(topic for topic, _ in plan.rungs.values())])
        for record in records:
            seen = _read(types, catalogue, plan, record)
            if seen is not None:
                first = jobs.setdefault(seen.id, seen)
                redrive = max(first.redrive, seen.redrive)
                jobs[seen.id] = _failed(replace(first, redrive=redrive), seen)
        for job_id, rows in _rows_by_id(broker, plan.dedup).items():
            if job_id in jobs:
                jobs[job_id] = _settled(jobs[job_id], rows)
        for letter in broker.records(plan.dlq):
            _tell_of_death(jobs, letter)
    return list(jobs.values())


def _appended(broker: MemoryBroker, topics: Iterable[str]) -> list[MemoryRecord]:
    records = [record for topic in topics for record in broker.records(topic)]
    return sorted(records, key=lambda record: record.sequence)


def _read(
    types: Mapping[str, Job[Any, Any]], catalogue: Catalogue, plan: QueuePlan, record: MemoryRecord
) -> SeenJob | None:
    """The job of one record, None if it is unknown which one it is."""
    value = record.value() or b""
    try:
        decoded = catalogue.decode(value)
        carried = parse(headers_of(record))
        reader = catalogue.get(decoded.fingerprint)
        assert reader is not None, "the catalogue decoded with it"  # noqa: S101
    except (DecodeError, BadHeaders):
        return None
    name, args, job = reader.job_type, None, types.get(reader.job_type)
    if job is not None:
        name = job.name
        # Damaged, of another version, or refused by their class, whose code may raise anything.
        with suppress(Exception, SystemExit, JobOutcome):
            args = reader.args(value, decoded.args_bytes_at, job.codec)
    return SeenJob(
        id=decoded.id,
        name=name,
        args=args,
        queue=plan.name,
        key=decoded.order_key,
        enqueued_ms=decoded.enqueued_at,
        redrive=carried.redrive,
        error=carried.error,
        message=carried.message,
        traceback=carried.traceback,
    )


def _failed(job: SeenJob, last: SeenJob | Carried) -> SeenJob:
    """The job with what failed last."""
    return replace(job, error=last.error, message=last.message, traceback=last.traceback)


def _rows_by_id(broker: MemoryBroker, dedup: str) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = {}
    for row, _ in parsed(broker.records(dedup)):
        if row.kind == "job":
            found.setdefault(row.id, []).append(row)
    return found


def _settled(job: SeenJob, rows: list[Row]) -> SeenJob:
    known = UNKNOWN
    for row in rows:
        known = known.merge(fact_of(row))
    state = _state(known, job.redrive)
    told = next((row for row in reversed(rows) if row.state == state), None)
    if told is None:
        return job
    if state == DONE:
        job = _failed(job, FIRST)
    return replace(job, state=state, attempt=told.attempt, reason=told.detail)


def _tell_of_death(jobs: dict[str, SeenJob], letter: MemoryRecord) -> None:
    """Add what a dead letter tells to its job; a tombstone, or an older letter, tells nothing."""
    job_id, _, redrive = (letter.key() or b"").decode("utf-8", "replace").rpartition(":")
    job = jobs.get(job_id)
    if job is None or job.state != DEAD or redrive != str(job.redrive):
        return
    try:
        carried = parse(headers_of(letter))
    except BadHeaders:
        return
    jobs[job_id] = _failed(job, carried)


def _state(known: Known, redrive: int) -> str:
    if known.done:
        return DONE
    return state_of(known.ended[1]) if known.ended[0] >= redrive else WAITING
