"""Stores what records told of jobs: their rows, history, counts and statistics.

Inside the transaction of a batch: it reads the facts that are stored, merges, and writes back.
"""

from __future__ import annotations

from collections import Counter
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from sqlalchemy import case, delete, select

from jobstream.views.buckets import bucket_of
from jobstream.views.db_tables import attempts, jobs, minutes, tallies
from jobstream.views.facts import NOTHING, Facts, facts_of
from jobstream.views.shown import shown
from jobstream.views.stored_text import to_json
from jobstream.views.upserts import chunks, insert_into, insert_new, upsert

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sqlalchemy import Connection

    from jobstream.views.changes import Beat, JobTold

MINUTE_MS = 60_000
RETRIED = "retried"


class JobWriter:
    """The jobs of one batch."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._facts: dict[str, Facts] = {}
        self._before: dict[str, tuple[str, str, str]] = {}
        """Queue, type and state as they were stored."""
        self._args: dict[str, tuple[str | None, bool]] = {}
        self._history: list[dict[str, Any]] = []
        self._beats: list[tuple[str, Beat]] = []
        self._retried: list[str] = []

    def write(self, told: Sequence[JobTold]) -> None:
        """Store all of it."""
        if not told:
            return
        self._load({each.job_id for each in told})
        for each in told:
            self._take(each)
        rows = {job_id: shown(self._facts[job_id]) for job_id in {each.job_id for each in told}}
        self._tally(rows)
        insert_new(self._connection, attempts, self._history)
        self._put(rows)
        self._count(rows)

    def _load(self, ids: Iterable[str]) -> None:
        columns = (jobs.c.id, jobs.c.facts, jobs.c.queue, jobs.c.job_type, jobs.c.state)
        for some in chunks(list(ids)):
            found = self._connection.execute(select(*columns).where(jobs.c.id.in_(some)))
            for job_id, facts, *before in found:
                self._facts[job_id] = facts_of(facts)
                self._before[job_id] = tuple(before)

    def _take(self, told: JobTold) -> None:
        before = self._facts.get(told.job_id, NOTHING)
        after = before.merge(told.facts)
        self._facts[told.job_id] = after
        if after.origin is told.facts.origin and told.facts.origin:
            self._args[told.job_id] = told.args, told.args_cut
        if told.entry is not None:
            self._history.append({"job_id": told.job_id, **told.entry._asdict()})
        elif told.facts.first:
            self._outrun(told, before.first, after.first, first_entry)
        else:
            self._outrun(told, before.done, after.done, done_entry)
        if told.beat is not None and (after.done, after.ended) != (before.done, before.ended):
            self._beats.append((told.job_id, told.beat))
        if told.facts.copy and told.facts.copy[13] and after.copy[:2] > before.copy[:2]:
            self._retried.append(told.job_id)

    def _outrun(self, told: JobTold, before: list[Any], after: list[Any], entry: Any) -> None:  # noqa: ANN401 - one of two below
        """A job's row tells one first delivery and one end; the others stand in its history."""
        new = told.facts.first or told.facts.done
        if before and before != new:
            other = before if after == new else new
            queue = told.facts.origin[4] if told.facts.origin else new[8]
            self._history.append({"job_id": told.job_id, **entry(other, queue)})

    def _tally(self, rows: dict[str, dict[str, Any]]) -> None:
        moved: Counter[tuple[str, str, str]] = Counter()
        for job_id, row in rows.items():
            now = row["queue"], row["job_type"], row["state"]
            before = self._before.get(job_id)
            if before != now:
                moved[now] += 1
                if before is not None:
                    moved[before] -= 1
        names = ("queue", "job_type", "state")
        found: list[dict[str, Any]] = [
            {**dict(zip(names, key, strict=True)), "n": n} for key, n in moved.items() if n
        ]
        upsert(self._connection, tallies, found, add=("n",))
        if any(row["n"] < 0 for row in found):
            self._connection.execute(delete(tallies).where(tallies.c.n == 0))

    def _put(self, rows: dict[str, dict[str, Any]]) -> None:
        with_args: list[dict[str, Any]] = []
        without: list[dict[str, Any]] = []
        for job_id, row in rows.items():
            row["id"], row["facts"] = job_id, self._facts[job_id].text()
            given = self._args.get(job_id)
            row["args"], row["args_cut"] = given or (None, False)
            (with_args if given is not None else without).append(row)
        for some, kept in ((with_args, ()), (without, ("args", "args_cut"))):
            if some:
                made = insert_into(self._connection, jobs)
                values = {n: made.excluded[n] for n in some[0] if n != "id" and n not in kept}
                made = made.on_conflict_do_update(index_elements=["id"], set_=values)
                _execute_many(self._connection, made, some)

    def _count(self, rows: dict[str, dict[str, Any]]) -> None:
        found: dict[tuple[int, str, str, int], dict[str, Any]] = {}
        for job_id, beat in self._beats:
            took_ms = rows[job_id]["took_ms"] if beat.outcome == "done" else None
            job_type = beat.job_type or rows[job_id]["job_type"]
            _add(found, (beat.at_ms, job_type, beat.outcome), job_id, took_ms)
        for job_id in self._retried:
            row, copy = rows[job_id], self._facts[job_id].copy
            _add(found, (copy[2], row["job_type"], RETRIED), job_id, None)
        if not found:
            return
        made = insert_into(self._connection, minutes)
        new, old = made.excluded, minutes.c
        slower = new.slowest_ms > old.slowest_ms
        values = {
            "n": old.n + new.n,
            "took_ms": old.took_ms + new.took_ms,
            "slowest_ms": case((slower, new.slowest_ms), else_=old.slowest_ms),
            "slowest_id": case((slower, new.slowest_id), else_=old.slowest_id),
        }
        keys = [column.name for column in minutes.primary_key]
        made = made.on_conflict_do_update(index_elements=keys, set_=values)
        self._connection.execute(made, list(found.values()))


def _execute_many(connection: Connection, made: Any, rows: list[dict[str, Any]]) -> None:  # noqa: ANN401 - a statement
    """Run a statement for many rows without looking at each value: all are the drivers' own."""
    names = [column.name for column in jobs.c if column.name in rows[0]]
    compiled = made.compile(dialect=connection.dialect, column_keys=names)
    if compiled.positional:
        in_order = itemgetter(*compiled.positiontup)
        connection.exec_driver_sql(str(compiled), [in_order(row) for row in rows])
    else:
        connection.exec_driver_sql(str(compiled), rows)


def _add(
    found: dict[tuple[int, str, str, int], dict[str, Any]],
    beat: tuple[int, str, str],
    job_id: str,
    took_ms: int | None,
) -> None:
    at_ms, job_type, outcome = beat
    key = at_ms // MINUTE_MS, job_type, outcome, bucket_of(took_ms)
    names = ("minute", "job_type", "outcome", "bucket")
    fresh: dict[str, Any] = {"n": 0, "took_ms": 0, "slowest_ms": -1, "slowest_id": ""}
    row = found.setdefault(key, {**dict(zip(names, key, strict=True)), **fresh})
    row["n"] += 1
    row["took_ms"] += took_ms or 0
    if took_ms is not None and took_ms > row["slowest_ms"]:
        row["slowest_ms"], row["slowest_id"] = took_ms, job_id


def first_entry(first: list[Any], queue: str) -> dict[str, Any]:
    """A first delivery, as a line of history."""
    at_ms, topic, partition, offset, topic_id = first[:5]
    detail = to_json({"redrive": 0, "seq": 0, "attempt": 1})
    return _line(topic_id, topic, partition, offset) | {
        "at_ms": at_ms,
        "what": "queued",
        "queue": queue,
        "detail": detail,
    }


def done_entry(done: list[Any], _: str) -> dict[str, Any]:
    """A plain end, as a line of history."""
    at_ms, partition, offset = (-each for each in done[:3])
    attempt, redrive, seq, detail, topic, queue, topic_id = done[3:]
    told = {"state": "done", "redrive": redrive, "seq": seq, "attempt": attempt}
    if detail:
        told["detail"] = detail
    return _line(topic_id, topic, partition, offset) | {
        "at_ms": at_ms,
        "what": "row",
        "queue": queue,
        "detail": to_json(told),
    }


def _line(topic_id: str, topic: str, partition: int, offset: int) -> dict[str, Any]:
    return {
        "topic_id": topic_id,
        "topic": topic,
        "partition": partition,
        "offset": offset,
        "traceback": "",
    }
