"""Everything the log still knows of one job: its event, copies, rows and dead letters, in order.

It reads; what the rows mean together is `known`'s business in the core.
"""

from __future__ import annotations

import uuid
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from jobstream.operate.errors import LookTooLong
from jobstream.operate.job_events import Event, read_event, type_of
from jobstream.operate.scan import carried_by, carried_of, headers_or_none, place_of, unmoved
from jobstream_processors.core import known
from jobstream_processors.core.closings import closing_in
from jobstream_processors.core.headers import FIRST, Carried
from jobstream_processors.core.known import UNKNOWN, Known
from jobstream_processors.core.letters import fingerprint_in, parse_key, release_in
from jobstream_processors.row_facts import fact_of
from jobstream_schemas import DecodeError, parse_row

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from jobstream.operate.layout import QueueTopics
    from jobstream.operate.scan import Progress
    from jobstream.operate.view import AppView
    from jobstream_processors.core.headers import Headers
    from jobstream_processors.ports import Record, TopicPartition

CLOCK_SLACK_MS = 300_000
"""The time in an id is its producer's, the time in the log is the broker's."""
QUEUED, WAITING, UNTOLD = "queued or running", "waiting", "?"
_UUID_WITH_TIME = 7
_WITHOUT_ID = "@"


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """One record about the job."""

    at_ms: int
    """When the broker appended it."""
    what: str
    """`queued`, `waits`, `row`, `dead letter` or `letter closed`."""
    queue: str
    place: tuple[str, int, int]
    detail: dict[str, Any] = field(hash=False, default_factory=dict)
    traceback: str = ""
    """Of the attempt that failed before this copy or letter, where the record carries it."""


@dataclass(slots=True)
class History:
    """The history of one job; `entries` are in the order of the broker's time."""

    job_id: str
    since_ms: int | None
    """Records before that were not looked at; None: everything the log holds was."""
    entries: list[HistoryEntry] = field(default_factory=list)
    event: Event | None = None
    """The job itself, if a record of it is left and can be read."""
    facts: Known = UNKNOWN
    schedule: str = ""
    """The schedule that made it; "" if none did, or a record without the name."""
    tick_ms: int | None = None
    """The tick whose job it is; None if no schedule made it."""

    @property
    def traceback(self) -> str:
        """That of the last failure; "" where there is none."""
        return next((entry.traceback for entry in reversed(self.entries) if entry.traceback), "")

    @property
    def state(self) -> str:
        """The job's state in a word, by what was found."""
        if self.facts.done:
            return known.DONE
        newest = max((e.detail.get("redrive", 0) for e in self.entries), default=0)
        if self.facts.ended[0] >= newest:
            return known.state_of(self.facts.ended[1])
        copies = [entry.what for entry in self.entries if entry.what in {"queued", "waits"}]
        return {"queued": QUEUED, "waits": WAITING}[copies[-1]] if copies else UNTOLD

    @property
    def has_ended(self) -> bool:
        """Whether a row says that nothing of the job runs any more, unless it is redriven."""
        return self.state not in {QUEUED, WAITING, UNTOLD}

    @property
    def told_by(self) -> HistoryEntry | None:
        """The record that tells the state; the newest one where it is not known."""
        state = self.state
        what = {QUEUED: "queued", WAITING: "waits"}.get(state)
        telling = [
            entry
            for entry in self.entries
            if entry.what == what or (entry.what == "row" and entry.detail.get("state") == state)
        ]
        return next(reversed(telling or self.entries), None)


def time_in(job_id: str) -> int | None:
    """Milliseconds since the epoch in a UUIDv7 (RFC 9562, 5.7); None for any other id."""
    try:
        parsed = uuid.UUID(job_id)
    except ValueError:
        return None
    return parsed.int >> 80 if parsed.version == _UUID_WITH_TIME else None


def start_for(job_id: str, since_ms: int | None) -> int | None:
    """From when on to look: what was asked for, else the time in the id less clock slack."""
    if since_ms is not None:
        return since_ms
    made_ms = time_in(job_id)
    return None if made_ms is None else max(0, made_ms - CLOCK_SLACK_MS)


def history(
    view: AppView,
    job_id: str,
    queues: list[QueueTopics],
    since_ms: int | None = None,
    progress: Progress = unmoved,
    *,
    records_max: int | None = None,
) -> History:
    """Look through the queues' topics for the job; blocks while reading, which may be long.

    An id that carries its time is looked for from then on, any other from the start of the log.
    That time is by its producer's clock, which may be ahead: if nothing is found, all is looked at,
    unless that would be more than `records_max`. Raises LookTooLong where already the first look
    would be.
    """
    found = History(job_id, start_for(job_id, since_ms))
    _look(view, found, queues, spans_of(view, queues, found.since_ms, None, records_max), progress)
    if not found.entries and since_ms is None and found.since_ms is not None:
        with suppress(LookTooLong):
            spans = spans_of(view, queues, None, None, records_max)
            found = History(job_id, None)
            _look(view, found, queues, spans, progress)
    return found


def _look(
    view: AppView,
    found: History,
    queues: list[QueueTopics],
    spans: Mapping[TopicPartition, tuple[int, int]],
    progress: Progress,
) -> None:
    owners = {topic: queue for queue in queues for topic in queue.counts}
    seeker = _Seeker(view, found, owners)
    for record in view.records(spans, progress):
        seeker.look(record)
    found.entries.sort(key=lambda entry: (entry.at_ms, entry.place))


def spans_of(
    view: AppView,
    queues: Iterable[QueueTopics],
    since_ms: int | None,
    until_ms: int | None,
    records_max: int | None = None,
) -> dict[TopicPartition, tuple[int, int]]:
    """The spans of all topics of these queues, cut to the given time if there is one.

    Raises LookTooLong if they hold more than `records_max`.
    """
    places = [place for queue in queues for place in queue.places(*queue.counts)]
    spans = view.cluster.spans(places)
    if since_ms is not None:
        starts = view.cluster.at_time(places, since_ms)
        spans = {place: (max(low, starts[place]), high) for place, (low, high) in spans.items()}
    if until_ms is not None:
        ends = view.cluster.at_time(places, until_ms)
        spans = {place: (low, min(high, ends[place])) for place, (low, high) in spans.items()}
    count = sum(max(0, high - low) for low, high in spans.values())
    if records_max is not None and count > records_max:
        message = f"the log has {count:,} records of that time, and more than {records_max:,}"
        raise LookTooLong(message)
    return spans


class _Seeker:
    """Looks at records one by one and keeps what concerns the job."""

    def __init__(self, view: AppView, found: History, owners: dict[str, QueueTopics]) -> None:
        self._view = view
        self._found = found
        self._owners = owners
        self._id = found.job_id.encode()
        self._origin = self._id.removeprefix(_WITHOUT_ID.encode())
        self._in_key = b":" + self._id + b":"

    def look(self, record: Record) -> None:
        """Keep the record if it is about the job."""
        topic = record.topic() or ""
        queue = self._owners[topic]
        if topic == queue.dedup:
            self._row(record, queue)
        elif topic == queue.dlq:
            self._letter(record, queue)
        elif (carried := self._copy(record)) is not None:
            rung = next((name for name, each in queue.rungs.items() if each == topic), "")
            detail = {"rung": rung, **told_of(carried)} if rung else told_of(carried)
            self._keep("waits" if rung else "queued", queue, record, detail, carried.traceback)
            if carried.scheduled_ms is not None:
                self._found.tick_ms = carried.scheduled_ms
                self._found.schedule = carried.schedule or self._found.schedule
            self._read(record)

    def _row(self, record: Record, queue: QueueTopics) -> None:
        key, value = record.key() or b"", record.value()
        if value is None or self._in_key not in key:
            return
        try:
            row = parse_row(key, value)
        except DecodeError as error:
            self._keep("row", queue, record, {"unreadable": str(error)})
            return
        if row.id == self._found.job_id:
            self._found.facts = self._found.facts.merge(fact_of(row))
            numbers = {"redrive": row.redrive, "seq": row.seq, "attempt": row.attempt}
            told = {"state": row.state or row.kind, **numbers}
            self._keep("row", queue, record, told | ({"detail": row.detail} if row.detail else {}))

    def _letter(self, record: Record, queue: QueueTopics) -> None:
        job_id, redrive = parse_key(record.key()) or ("", 0)
        if job_id != self._found.job_id:
            return
        if record.value() is None:
            told = closing_told(record)
            self._keep("letter closed", queue, record, {"redrive": redrive, **told})
        else:
            # Once: the client library hands out a list that can't be touched the second time.
            headers = headers_or_none(record)
            carried = carried_by(headers)
            job_type = type_of(self._view.catalogue, record.value() or b"")
            told = told_of(carried) | cause_told(headers or [], job_type, carried)
            self._keep("dead letter", queue, record, told, carried.traceback)
            self._read(record)

    def _copy(self, record: Record) -> Carried | None:
        """The headers of a queue's or a rung's record, if it is this job's; decodes likely ones."""
        if self._id.startswith(_WITHOUT_ID.encode()):
            topic, partition, offset = place_of(record)
            here = f"{topic}:{partition}:{offset}".encode()
            carried = carried_of(record)
            return carried if self._origin in {here, carried.origin.encode()} else None
        value = record.value() or b""
        if self._id not in value:
            return None
        try:
            job_id = self._view.catalogue.decode(value).id
        except DecodeError:
            return None
        return carried_of(record) if job_id == self._found.job_id else None

    def _read(self, record: Record) -> None:
        if self._found.event is None:
            try:
                self._found.event = read_event(self._view.catalogue, record.value() or b"")
            except DecodeError:
                return

    def _keep(
        self,
        what: str,
        queue: QueueTopics,
        record: Record,
        detail: dict[str, Any],
        traceback: str = "",
    ) -> None:
        at_ms, place = record.timestamp()[1], place_of(record)
        self._found.entries.append(HistoryEntry(at_ms, what, queue.name, place, detail, traceback))


def closing_told(record: Record) -> dict[str, Any]:
    """Who closed the letter, how and why, if somebody says so."""
    closing = closing_in(headers_or_none(record))
    if closing is None:
        return {}
    told = {"closed": closing.how, "who": closing.who, "why": closing.why}
    return {name: text for name, text in {**told, "fixed_by": closing.fixed_by}.items() if text}


def cause_told(headers: Headers, job_type: str, carried: Carried) -> dict[str, Any]:
    """The letter's fingerprint, and the release that wrote it."""
    found = dict(headers)
    release = release_in(found)
    told = {"fingerprint": fingerprint_in(found, job_type, carried)}
    return {**told, "release": release} if release else told


def told_of(carried: Carried) -> dict[str, Any]:
    """Details from the headers, beyond the numbers that every entry has."""
    texts = ("reason", "error", "message", "frame", "due_ms", "delay_ms", "waits", "waits_since_ms")
    first = {name: value for name in texts if (value := getattr(carried, name)) not in {None, ""}}
    numbers = {"redrive": carried.redrive, "seq": carried.seq, "attempt": carried.attempt}
    return numbers | first if carried != FIRST else numbers
