"""One job: where it stands, its args with secrets masked, and all that happened to it, in order."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from jobstream.answers.as_of import AsOf
from jobstream.answers.errors import NoSuch, NotFromViews
from jobstream.answers.job_family import JobFamily
from jobstream.answers.late_marks import masked_by_all, masked_by_code
from jobstream.answers.moments import datetime_of
from jobstream.control_listing import ControlEntry, shown
from jobstream.operate.errors import LookTooLong, NotThere
from jobstream.operate.history import History, history
from jobstream.operate.job_events import plain_json
from jobstream.operate.process_answers import workers_here
from jobstream.operate.short_ids import whole_id
from jobstream.operate.why_words import of_job
from jobstream_processors.core.orders import CANCEL, PAUSE_QUEUE, PAUSE_TYPE

if TYPE_CHECKING:
    from collections.abc import Iterable

    from jobstream.answers.app_site import Site
    from jobstream.answers.kept import CachedAnswer
    from jobstream.operate.history import HistoryEntry
    from jobstream_processors.core.orders import Order

RECORDS_MAX = 1_000_000
"""Records that are read for one job; some ten seconds' work."""
STEPS_MAX = 500
"""Steps of an answer: the first few, and the last."""
FIRST_STEPS = 50
ID_CHARS_MAX = 400


@dataclass(frozen=True, slots=True)
class JobStep:
    """One record about the job."""

    at: datetime
    """When the broker appended it."""
    what: str
    """`queued`, `waits`, `row`, `dead letter` or `letter closed`."""
    queue: str
    topic: str
    partition: int
    offset: int
    detail: Mapping[str, Any]
    traceback: str


@dataclass(frozen=True, slots=True)
class JobAnswer:
    """One job."""

    as_of: AsOf
    id: str
    type: str
    """Empty where no record of it can be read any more."""
    state: str
    has_ended: bool
    queue: str
    attempt: int
    meta: Mapping[str, Any]
    args: Mapping[str, Any] | None
    """As JSON, secrets masked; None where no record of it can be read any more."""
    steps: tuple[JobStep, ...]
    steps_left_out: int
    """Those in the middle of a long history."""
    traceback: str
    """Of the last failure."""
    orders: tuple[ControlEntry, ...]
    """Control entries in force for the job, its type or its queues."""
    runs_on: str
    """The worker of this machine that runs it, as `host:pid`; empty if none does."""
    runs_s: float | None
    """For how long it has run there."""
    family: JobFamily | None = None
    """Its parent and children; None where the views do not tell."""


def job(site: Site, job_id: str) -> JobAnswer:
    """The job of that id, or of the one that begins so; blocks while the log is read.

    A job whose records the log no longer has is told by the views, by its whole id alone. Raises
    NoSuch where neither has one, SourceAway and TooBusy.
    """
    try:
        return job_from_log(site, job_id)
    except NoSuch:
        if (kept := job_from_views(site, job_id)) is None:
            raise
        return replace(kept, args=masked_by_all(site, kept.type, kept.args))


def job_from_log(site: Site, job_id: str) -> JobAnswer:
    """The same by the log alone; raises NoSuch where that has no such job."""
    if not job_id or len(job_id) > ID_CHARS_MAX:
        message = f"no job has the id {job_id!r:.100}"
        raise NoSuch(message)
    held = job_read(site, job_id)
    found = held.value.history
    run = of_job(held.value.answers, "runs", found.job_id)
    # The reader of the log has masked what its schemas mark.
    answer = _answer(held.as_of(), found, held.value.orders, run)
    return replace(answer, args=masked_by_code(site, answer.type, answer.args))


def job_from_views(site: Site, job_id: str) -> JobAnswer | None:
    """As the database keeps it, without control entries; None where it does not, or is away."""
    try:
        (detail, entries), told = site.read_side.ask(
            lambda views: (views.job(job_id), views.events(job_id, limit=STEPS_MAX))
        )
    except NotFromViews:
        return None
    if detail is None:
        return None
    row = detail.row
    named = {
        "order_key": row.key, "fair_key": row.tenant, "unique_key": row.unique_key,
        "parent_id": row.parent_id, "correlation_id": row.correlation_id, "source": row.source,
    }  # fmt: skip
    return JobAnswer(
        as_of=told,
        id=row.id,
        type=row.job_type,
        state=row.state,
        has_ended=row.ended_ms is not None,
        queue=row.queue,
        attempt=row.attempts,
        meta={name: value for name, value in named.items() if value},
        args=json.loads(row.args) if row.args is not None and not row.args_cut else None,
        steps=tuple(_step(entry) for entry in entries.rows),
        steps_left_out=0,
        traceback=next((each.traceback for each in reversed(entries.rows) if each.traceback), ""),
        orders=(),
        runs_on="",
        runs_s=None,
    )


class JobRead(NamedTuple):
    """What the log, and the workers of this machine, tell of one job."""

    history: History
    orders: tuple[Order, ...]
    """All that are in force."""
    answers: list[dict[str, Any]]
    """What each worker of this machine says of itself."""


def job_read(site: Site, job_id: str) -> CachedAnswer[JobRead]:
    """What is read of a job, shared by all who ask at that time.

    Raises NoSuch where the log has nothing of it, SourceAway and TooBusy.
    """
    return site.kept.get(("job", job_id), lambda: _read(site, job_id))


def _read(site: Site, job_id: str) -> JobRead:
    with site.readers.one() as view:
        try:
            queues = view.queues()
            whole = whole_id(view, job_id, queues, None, records_max=RECORDS_MAX)
            found = history(view, whole, queues, None, records_max=RECORDS_MAX)
        except (NotThere, LookTooLong) as error:
            raise NoSuch(str(error)) from error
        if not found.entries:
            message = f"no trace of job {job_id!r} in the log of app {site.name!r}"
            raise NoSuch(message)
        orders = tuple(view.orders(site.now_ms))
        return JobRead(found, orders, workers_here(view))


def _answer(
    told: AsOf, found: History, orders: Iterable[Order], run: Mapping[str, Any] | None
) -> JobAnswer:
    event, at = found.event, found.told_by
    steps, left_out = _bounded(found.entries)
    detail = at.detail if at is not None else {}
    meta = dict(event.meta) if event is not None else {}
    if (enqueued_ms := meta.get("enqueued_at")) is not None:
        meta["enqueued_at"] = datetime_of(enqueued_ms).isoformat()
    return JobAnswer(
        as_of=told,
        id=found.job_id,
        type=event.job_type if event is not None else "",
        state="running" if run is not None else found.state,
        has_ended=found.has_ended,
        queue=at.queue if at is not None else "",
        attempt=run["attempt"] if run is not None else detail.get("attempt", 1),
        meta=plain_json(meta),
        args=event.args if event is not None else None,
        steps=tuple(_step(entry) for entry in steps),
        steps_left_out=left_out,
        traceback=found.traceback,
        orders=tuple(shown(order) for order in orders if _concerns(order, found)),
        runs_on=run["worker"] if run is not None else "",
        runs_s=run["seconds"] if run is not None else None,
    )


def _bounded(entries: list[HistoryEntry]) -> tuple[list[HistoryEntry], int]:
    left_out = max(0, len(entries) - STEPS_MAX)
    if not left_out:
        return entries, 0
    return entries[:FIRST_STEPS] + entries[FIRST_STEPS + left_out :], left_out


def _step(entry: HistoryEntry) -> JobStep:
    detail = plain_json(dict(entry.detail))
    return JobStep(
        datetime_of(entry.at_ms), entry.what, entry.queue, *entry.place, detail, entry.traceback
    )


def _concerns(order: Order, found: History) -> bool:
    subjects = {
        PAUSE_QUEUE: {entry.queue for entry in found.entries},
        PAUSE_TYPE: {found.event.job_type} if found.event is not None else set(),
        CANCEL: {found.job_id},
    }
    return order.subject in subjects.get(order.kind, ())
