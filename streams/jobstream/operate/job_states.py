"""In which state each job is, judged by its records: copies first, then rows and letters. Pure.

A copy that no row settles is a job that is still to run; a row that ends a job, or an open letter,
is one that ended. Rows drop copies by the law that drops a delivery in the worker.
"""

from __future__ import annotations

from collections import Counter
from fnmatch import fnmatchcase
from heapq import heappush, heapreplace
from typing import TYPE_CHECKING, NamedTuple

from jobstream.operate.job_events import schema_of, type_by
from jobstream.operate.scan import carried_of, place_of, row_of
from jobstream.operate.state_names import DELAYED, RETRYING, WAITING
from jobstream_processors.core.headers import FIRST, Carried, headers_of, parse
from jobstream_processors.core.identity import from_origin
from jobstream_processors.core.known import DEAD, DONE, Parked, rank_of
from jobstream_processors.core.ladder import wait_on
from jobstream_processors.core.letters import parse_key
from jobstream_processors.errors import BadHeaders
from jobstream_processors.row_facts import fact_of
from jobstream_schemas import DecodeError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from jobstream.operate.positions import GroupPlace
    from jobstream_processors.ports import Record, TopicPartition
    from jobstream_schemas import Catalogue, Row


class JobNow(NamedTuple):
    """One job as it stands. Times are the brokers', in milliseconds since the epoch."""

    id: str
    """Or `@topic:partition:offset` where it has none to be trusted."""
    job_type: str
    """ "" where nothing tells."""
    queue: str
    state: str
    at_ms: int
    """When the record was appended that tells so; of one that runs, when its handler began."""
    attempt: int
    """Of a job that is still to run the next one, else the last."""
    key: str | None = None
    """Its order key, as long as the job is still to run."""
    rung: str = ""
    due_ms: int | None = None
    """When it may go on, if it is delayed or retried."""
    ahead: int | None = None
    """How many records of its partition may have to be finished before it; None off the queue."""
    may_run: bool = False
    """Its worker has announced that it may begin it."""
    waits: str = ""
    """What it waits for on the ladder, if not for its time alone."""
    awaits_code: bool = False
    error: str = ""
    """The last error, and its place."""
    reason: str = ""
    """Why it ended, if not by being done."""
    letter_closed: bool = False
    """It is dead, and there is no open letter of it."""


class Wanted(NamedTuple):
    """Which jobs are listed, and how many."""

    limit: int
    since_ms: int = 0
    states: frozenset[str] = frozenset()
    """Empty for all."""
    job_types: tuple[str, ...] = ()
    """Empty for all; texts may have `*`."""

    def has_type(self, job_type: str) -> bool:
        """Whether jobs of the type are meant."""
        types = self.job_types
        return not types or any(fnmatchcase(job_type, pattern) for pattern in types)


class _Copy(NamedTuple):
    """The newest copy of a job that may have to run."""

    redrive: int
    seq: int
    job: JobNow


class _Letter(NamedTuple):
    job: JobNow
    redrive: int


class JobStates:
    """Takes the copies of a window, then its rows and letters; used by one thread.

    Room: some 500 bytes for each job that is still to run or did not end well, 100 for each that
    is done.
    """

    def __init__(
        self, catalogue: Catalogue, standings: Mapping[TopicPartition, GroupPlace], wanted: Wanted
    ) -> None:
        """`standings` of every partition whose copies are taken."""
        self._catalogue = catalogue
        self._standings = standings
        self._wanted = wanted
        self._copies: dict[str, _Copy] = {}
        self._parked: dict[str, tuple[int, ...]] = {}
        self._done: set[int] = set()
        """Hashes of ids: there may be a million."""
        self._ended: dict[str, tuple[tuple[int, int], JobNow]] = {}
        """By id: (redrive, rank) and the details of jobs that did not end as done."""
        self._letters: dict[str, _Letter] = {}
        self._newest: list[tuple[int, int, JobNow]] = []
        self._kept = 0
        self._counts: Counter[str] = Counter()

    def copy(self, record: Record, queue: str, rung: str = "") -> None:
        """Take a record of the queue, or of one of its rungs."""
        topic, partition, offset = place_of(record)
        standing = self._standings[topic, partition]
        if standing.is_finished(offset):
            return
        told, job_id, key, job_type = self._read(record)
        if not self._wanted.has_type(job_type):
            return
        carried = told or FIRST
        at_ms = record.timestamp()[1]
        mirror = standing.mirror
        job = JobNow(
            id=job_id,
            job_type=job_type,
            queue=queue,
            state=WAITING if not rung else RETRYING if carried.first_failed_ms else DELAYED,
            at_ms=at_ms,
            attempt=carried.attempt,
            key=key,
            rung=rung,
            due_ms=wait_on(rung, at_ms, carried.due_ms, carried.delay_ms).due_ms if rung else None,
            ahead=None if rung else offset - standing.unfinished,
            may_run=not rung and mirror is not None and offset < mirror.may_begin,
            waits=carried.waits if rung else "",
            awaits_code=carried.unknown_since_ms is not None,
            error=_failure(carried),
        )
        other = self._copies.get(job_id)
        # A hop leaves the numbers as they are, and stands behind what it was made of.
        rank = (carried.redrive, carried.seq, at_ms)
        if other is None or rank >= (other.redrive, other.seq, other.job.at_ms):
            self._copies[job_id] = _Copy(carried.redrive, carried.seq, job)

    def row(self, record: Record, queue: str) -> None:
        """Take a record of the dedup topic."""
        row = row_of(record)
        if row is None:
            return
        copy = self._copies.get(row.id)
        if copy is not None:
            fact = fact_of(row)
            if fact.absorbs(copy.redrive, copy.seq) is not None:
                del self._copies[row.id]
            elif fact.parked_at(copy.redrive, copy.seq) is not None:
                parked = self._parked.get(row.id, fact.parked)
                self._parked[row.id] = max(parked, fact.parked)
        if row.kind == "job":
            self._end(row, record.timestamp()[1], queue)

    def letter(self, record: Record, queue: str) -> None:
        """Take a record of the dead letters: a letter, or the tombstone that closes one."""
        key = record.key() or b""
        job_id, redrive = parse_key(key) or (key.decode(errors="replace").rpartition(":")[0], 0)
        value = record.value()
        if value is None:
            if (known := self._letters.get(job_id)) is not None and known.redrive == redrive:
                del self._letters[job_id]
            return
        carried = carried_of(record)
        job_type, at_ms = type_by(self._catalogue, schema_of(value)), record.timestamp()[1]
        if self._wanted.has_type(job_type) and at_ms >= self._wanted.since_ms:
            job = JobNow(job_id, job_type, queue, DEAD, at_ms, carried.attempt)
            job = job._replace(error=_failure(carried), reason=carried.reason)
            self._letters[job_id] = _Letter(job, redrive)

    def found(self, running: Iterable[JobNow] = ()) -> tuple[list[JobNow], Counter[str]]:
        """The newest jobs that are wanted, and how many there are by state. Called once, at last.

        `running` is what processes said before any record was taken: a row since then holds.
        """
        for job in running:
            if self._wanted.has_type(job.job_type) and not self._has_ended(job.id):
                copy = self._copies.pop(job.id, None)
                self._keep(job if copy is None else job._replace(key=copy.job.key))
        for job_id, copy in self._copies.items():
            self._keep(self._standing(job_id, copy))
        for job_id, (_, job) in self._ended.items():
            if job_id not in self._copies:
                self._keep(self._with_letter(job))
        for job_id, letter in self._letters.items():
            # The delayer writes one without a row, for a record that it can't carry.
            if job_id not in self._copies and not self._has_ended(job_id):
                self._keep(letter.job)
        newest = sorted(self._newest, reverse=True)
        return [job for _, _, job in newest], self._counts

    def _has_ended(self, job_id: str) -> bool:
        return job_id not in self._copies and (job_id in self._ended or hash(job_id) in self._done)

    def _read(self, record: Record) -> tuple[Carried | None, str, str | None, str]:
        """The headers (None: it can't be read), the job's id, its order key and its type."""
        place = from_origin(*place_of(record))
        try:
            carried = parse(headers_of(record))
        except BadHeaders:
            return None, place, None, ""
        try:
            decoded = self._catalogue.decode(record.value() or b"")
        except DecodeError:
            return carried, f"@{carried.origin}" if carried.origin else place, None, ""
        job_type = type_by(self._catalogue, decoded.fingerprint)
        return carried, decoded.id, decoded.order_key, job_type

    def _end(self, row: Row, at_ms: int, queue: str) -> None:
        job_type = type_by(self._catalogue, row.fingerprint)
        if at_ms < self._wanted.since_ms or not self._wanted.has_type(job_type):
            return
        job = JobNow(row.id, job_type, queue, row.state, at_ms, row.attempt, reason=row.detail)
        known = hash(row.id)
        if row.state == DONE:
            if known not in self._done:
                self._done.add(known)
                self._ended.pop(row.id, None)
                self._keep(job)
        elif known not in self._done:
            rank = row.redrive, rank_of(row.state)
            other = self._ended.get(row.id)
            if other is None or rank > other[0]:
                self._ended[row.id] = rank, job

    def _standing(self, job_id: str, copy: _Copy) -> JobNow:
        """A job that is still to run: in place, or as its copy tells."""
        parked = self._parked.get(job_id)
        if parked is None or parked[:2] != (copy.redrive, copy.seq):
            return copy.job
        how = Parked(*parked[2:])
        state = RETRYING if how.first_failed_ms else DELAYED
        return copy.job._replace(state=state, attempt=how.attempt, due_ms=how.due_ms)

    def _with_letter(self, job: JobNow) -> JobNow:
        if job.state != DEAD:
            return job
        letter = self._letters.get(job.id)
        if letter is None:
            return job._replace(letter_closed=True)
        return job._replace(error=letter.job.error, job_type=job.job_type or letter.job.job_type)

    def _keep(self, job: JobNow) -> None:
        self._counts[job.state] += 1
        if self._wanted.states and job.state not in self._wanted.states:
            return
        self._kept += 1
        if len(self._newest) < self._wanted.limit:
            heappush(self._newest, (job.at_ms, self._kept, job))
        elif job.at_ms > self._newest[0][0]:
            heapreplace(self._newest, (job.at_ms, self._kept, job))


def _failure(carried: Carried) -> str:
    return " at ".join(text for text in (carried.error, carried.frame) if text)
