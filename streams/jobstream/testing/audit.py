"""Judges a run by its ledger and the rows of the dedup topic: what was lost, doubled, out of order.

It believes neither side alone. Handlers record when they started, the broker when each row was
appended, and a test when it broke something; all clocks are one machine's.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from jobstream.testing.ledger import Entry
from jobstream.testing.rows import StampedRow
from jobstream_processors.core import known

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from jobstream.testing.ledger import Kill
    from jobstream_schemas import Row

FINDINGS_MAX = 50
HANDED_MS = 1_000
"""A child process starts what it was handed within this time, on a busy machine too."""
_RELEASES = ("parked", "crash")
"""Rows after which the same delivery is started again on purpose."""


@dataclass(frozen=True, slots=True)
class Audit:
    """The verdict on the jobs, as counts; `findings` names at most FINDINGS_MAX faults."""

    enqueued: int
    done: int
    dead: int
    other: int
    """Cancelled, expired or duplicate."""
    lost: int
    """Enqueued, and no row says that it ended."""
    doubled: int
    """Starts that must not have been; see `audit`."""
    reruns: int
    """Starts of a delivery beyond its first, for whatever reason."""
    order_violations: int
    """Starts that overtook an earlier job of their key."""
    findings: tuple[str, ...] = ()


def audit(
    ledger: Iterable[Entry],
    rows: Iterable[StampedRow],
    enqueued_ids: Iterable[str],
    kills: Sequence[Kill] = (),
    *,
    hold_key: Collection[str] = (),
) -> Audit:
    """Hold the ledger against the rows.

    A job is *lost* if no row ends it: neither done, nor dead, cancelled, expired or duplicate. A
    start of a delivery (id, redrive, seq) is *doubled* if it is later than the append of a row that
    settles the delivery, or if it is not the first one and no earlier start was cut off: in
    flight in a process that `kills` names or handed to a child of it, or followed by a parked or
    crash row, with which the worker starts it again itself. Each earlier start excuses one later
    start. A row settles nothing here if only frozen processes can have written it: its partition
    had another owner already, who can't have known. The first start that a process tells after a
    freeze counts as one at the freeze: it may have been under way.

    `enqueued_ids` come in queue order, at least within a key. First starts of a key follow it; for
    the job types named in `hold_key`, all starts do.
    """
    wanted = list(dict.fromkeys(enqueued_ids))
    jobs: defaultdict[str, _Job] = defaultdict(_Job)
    for stamped in rows:
        jobs[stamped.row.id].rows.append(stamped)
    for entry in _dated_back(ledger, kills):
        if entry.kind != "enqueue":
            jobs[entry.job_id].runs.append(entry)
    findings: list[str] = []
    reruns = 0
    for job in jobs.values():
        reruns += job.check(kills, findings)
    doubled = len(findings)
    ends = [jobs[job_id].end() for job_id in wanted]
    findings += [f"{i}: lost" for i, end in zip(wanted, ends, strict=True) if not end]
    order = list(_overtaken(wanted, jobs, hold_key))
    done, dead, lost = (ends.count(end) for end in (known.DONE, known.DEAD, ""))
    return Audit(
        enqueued=len(wanted),
        done=done,
        dead=dead,
        other=len(wanted) - done - dead - lost,
        lost=lost,
        doubled=doubled,
        reruns=reruns,
        order_violations=len(order),
        findings=tuple((findings + order)[:FINDINGS_MAX]),
    )


def _dated_back(ledger: Iterable[Entry], kills: Sequence[Kill]) -> list[Entry]:
    """The entries, with what a process was starting when it froze at the time of the freeze.

    Nothing can look whether it may start and start in one step. So the first start that a process
    tells after a freeze had begun before it; any further one had not.
    """
    entries = list(ledger)
    for kill in (kill for kill in kills if kill.kind == "freeze"):
        later = (
            (entry.at_ms, index)
            for index, entry in enumerate(entries)
            if entry.kind == "start" and entry.pid == kill.pid and entry.at_ms > kill.at_ms
        )
        if (first := min(later, default=None)) is not None:
            entries[first[1]] = replace(entries[first[1]], at_ms=kill.at_ms)
    return entries


@dataclass(slots=True)
class _Job:
    """The rows and the ledger's lines of one job."""

    rows: list[StampedRow] = field(default_factory=list)
    runs: list[Entry] = field(default_factory=list)

    def starts(self) -> list[Entry]:
        return sorted((e for e in self.runs if e.kind == "start"), key=lambda e: e.at_ms)

    def end(self) -> str:
        """The state that ended it, "" if nothing did."""
        ended = {row.redrive: row.state for row, _ in self.rows if row.kind == "job"}
        if known.DONE in ended.values():
            return known.DONE
        newest = max(ended, default=-1)
        # A job that was redriven and started again is open, whatever ended it before.
        if not ended or any(run.redrive > newest for run in self.runs):
            return ""
        return ended[newest]

    def check(self, kills: Sequence[Kill], findings: list[str]) -> int:
        """Note each start that must not have been; return how many were not the first."""
        deliveries = defaultdict(list)
        for start in self.starts():
            deliveries[start.redrive, start.seq].append(start)
        for starts in deliveries.values():
            settled_ms = self._settled_ms(starts[0], kills)
            excuses = _Excuses(starts, self._releases(starts[0]), kills)
            for index, start in enumerate(starts):
                if settled_ms is not None and start.at_ms > settled_ms:
                    late = start.at_ms - settled_ms
                    findings.append(f"{_told(start)}: started {late} ms after it was settled")
                elif index and not excuses.take(index):
                    findings.append(f"{_told(start)}: started again, and nothing had cut it off")
        return sum(len(starts) - 1 for starts in deliveries.values())

    def _settled_ms(self, start: Entry, kills: Sequence[Kill]) -> int | None:
        """When the first row that settles the delivery was appended."""
        times = (
            stamped.at_ms
            for stamped in self.rows
            if _settles(stamped.row, start) and not self._is_of_frozen(stamped, kills)
        )
        return min(times, default=None)

    def _is_of_frozen(self, stamped: StampedRow, kills: Sequence[Kill]) -> bool:
        """Whether only processes that had been frozen in the middle can have written the row."""
        row, at_ms = stamped
        runs = [
            run
            for run in self.runs
            if run.redrive == row.redrive
            and run.at_ms <= at_ms
            and (row.kind == "job" or run.seq == row.seq)
        ]
        ended = {run.pid for run in runs if run.kind == "end"}
        writers = [run for run in runs if run.kind == "start" and (not ended or run.pid in ended)]
        frozen = [k for k in kills if k.kind == "freeze" and k.at_ms <= at_ms]
        return bool(writers) and all(any(_was_running(run, k) for k in frozen) for run in writers)

    def _releases(self, start: Entry) -> list[int]:
        return sorted(
            at_ms
            for row, at_ms in self.rows
            if row.kind in _RELEASES and row.redrive == start.redrive
        )


class _Excuses:
    """Why starts of one delivery may be followed by another; each start excuses one."""

    def __init__(
        self, starts: Sequence[Entry], releases: Sequence[int], kills: Sequence[Kill]
    ) -> None:
        self._starts = starts
        self._releases = releases
        self._kills = kills
        self._used: set[int] = set()

    def take(self, index: int) -> bool:
        """Use up an earlier start that was cut off before start `index`, if there is one.

        Asked only about starts before the settling row, so what was cut off was in flight.
        """
        until_ms = self._starts[index].at_ms
        for earlier in range(index):
            if earlier not in self._used and self._is_cut_off(self._starts[earlier], until_ms):
                self._used.add(earlier)
                return True
        return False

    def _is_cut_off(self, start: Entry, until_ms: int) -> bool:
        if any(start.at_ms <= at_ms <= until_ms for at_ms in self._releases):
            return True
        return any(_was_running(start, k) and k.at_ms <= until_ms for k in self._kills)


def _was_running(start: Entry, kill: Kill) -> bool:
    """Whether `kill` hit the process while the run was in its hands.

    A child process is not hit with its worker, and starts what it had been handed before.
    """
    late_ms = HANDED_MS if kill.pid is not None and kill.pid == start.parent else 0
    return kill.hit(start) and start.at_ms <= kill.at_ms + late_ms


def _settles(row: Row, start: Entry) -> bool:
    if row.kind == "moved":
        return (row.redrive, row.seq) == (start.redrive, start.seq)
    return row.kind == "job" and (row.state == known.DONE or row.redrive >= start.redrive)


def _overtaken(
    wanted: Sequence[str], jobs: Mapping[str, _Job], hold_key: Collection[str]
) -> Iterator[str]:
    """Each start that came before the first start (or any, where held) of an earlier job."""
    place = {job_id: index for index, job_id in enumerate(wanted)}
    keyed: defaultdict[tuple[str, str], list[Entry]] = defaultdict(list)
    for job_id in wanted:
        starts = jobs[job_id].starts()
        relevant = starts if starts and starts[0].name in hold_key else starts[:1]
        for start in relevant:
            if start.key:
                keyed[start.queue, start.key].append(start)
    for (_, key), starts in keyed.items():
        newest = -1
        for start in sorted(starts, key=lambda s: (s.at_ms, place[s.job_id])):
            if place[start.job_id] < newest:
                yield f"{_told(start)}: a later job of key {key!r} had started before it"
            newest = max(newest, place[start.job_id])


def _told(start: Entry) -> str:
    return f"{start.job_id} redrive {start.redrive} seq {start.seq} attempt {start.attempt}"
