"""Stores a batch: rows and the offsets behind them, in one transaction.

The offset in the database decides what was folded; the consumer's position never does. What lies
below it is skipped, a run that begins above it is handed back, and a crash at any moment leaves
either all of a batch or nothing. Instances take turns, so that two may hold one job's partitions.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from sqlalchemy import select

from jobstream.views.batch import Written, both, halves
from jobstream.views.changes import (
    ActTold,
    EntryTold,
    JobTold,
    LetterTold,
    MarkTold,
    Unread,
)
from jobstream.views.database import own_turn
from jobstream.views.db_tables import audit, entries, letters, marks, places, unread
from jobstream.views.errors import ValueRefused
from jobstream.views.job_writing import JobWriter
from jobstream.views.owner import claim
from jobstream.views.stored_text import cleaned
from jobstream.views.upserts import chunks, delete_by, insert_new, kept, upsert

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sqlalchemy import Connection, Engine

    from jobstream.views.batch import Run
    from jobstream.views.changes import Change
    from jobstream.views.record_fold import Fold

    Read = Sequence[tuple[Run, list[tuple[int, tuple[Change, ...]]]]]

log = logging.getLogger("jobstream.views")

REASON_CHARS_MAX = 300


class Writer:
    """Writes batches to one database. Used by one thread at a time."""

    def __init__(self, engine: Engine, fold: Fold, app: str) -> None:
        """`app`: whose records these are, and whose the tables must be."""
        self._engine = engine
        self._fold = fold
        self._app = app

    def write(self, runs: Sequence[Run]) -> Written:
        """Fold the runs and store what they change; blocks until it is committed.

        Raises DatabaseAway where it is not; then nothing of it is stored, or all of it was and
        the answer got lost: writing the same runs again is right in both cases. Where it does not
        take a value, the runs are halved until the record is found, which is counted as unread;
        what lies before it is committed then. Raises
        DatabaseOlder or DatabaseNewer, with nothing stored, where another version has changed the
        tables since, DatabaseTaken where they are another app's.
        """
        try:
            return self._write(runs)
        except ValueRefused as error:
            parts = halves(runs)
            if not parts:
                return self._pass_over(runs[0], error)
            first, second = parts
            return both(self.write(first), self.write(second))

    def _write(self, runs: Sequence[Run]) -> Written:
        read = [(run, [self._changes(run, at) for at in range(len(run.records))]) for run in runs]
        return self._store(read)

    def _pass_over(self, run: Run, error: ValueRefused) -> Written:
        """Count the one record of the run as unread: what comes after it must not wait for it."""
        read: list[tuple[int, tuple[Change, ...]]] = []
        for record in run.records:
            at = run.where.topic, run.where.partition, record.offset() or 0
            log.error("views_record_refused", extra={"place": at, "reason": str(error)})
            read.append((at[2], (Unread(*at, record.timestamp()[1], str(error)),)))
        return self._store([(run, read)])

    def _store(self, read: Read) -> Written:
        with own_turn(self._engine) as connection:
            claim(connection, self._app)
            return _store(connection, read)

    def _changes(self, run: Run, at: int) -> tuple[int, tuple[Change, ...]]:
        record = run.records[at]
        return record.offset() or 0, tuple(self._fold.changes(record, run.where))


def stored_places(connection: Connection, topic_ids: Iterable[str]) -> dict[tuple[str, int], Any]:
    """(topic id, partition) → its row in `places`."""
    found = {}
    for some in chunks(sorted(set(topic_ids))):
        for row in connection.execute(select(places).where(places.c.topic_id.in_(some))):
            found[row.topic_id, row.partition] = row
    return found


def _store(connection: Connection, read: Read) -> Written:
    stored = stored_places(connection, (run.where.topic_id for run, _ in read))
    nexts = {key: row.next for key, row in stored.items()}
    times = {key: row.record_ms for key, row in stored.items()}
    by_kind: dict[type, list[Any]] = {}
    misplaced, rows, records, newest_ms = [], {}, 0, 0
    for run, changes in read:
        key = run.where.topic_id, run.where.partition
        # Without a place nothing of the partition is in these tables, which may be others by now.
        begun = nexts.get(key, 0)
        if run.start > begun:
            misplaced.append(run)
            continue
        for offset, told in changes:
            if offset >= begun:
                records += 1
                for change in told:
                    by_kind.setdefault(type(change), []).append(change)
        if run.records:
            newest_ms = max(newest_ms, run.records[-1].timestamp()[1])
            times[key] = max(times.get(key, 0), run.records[-1].timestamp()[1])
        nexts[key] = max(begun, run.stop)
        rows[key] = _place(run, nexts[key], times.get(key, 0), stored.get(key))
    JobWriter(connection).write(by_kind.get(JobTold, []))
    _letters(connection, by_kind.get(LetterTold, []))
    _entries(connection, by_kind.get(EntryTold, []))
    insert_new(connection, audit, [act._asdict() for act in by_kind.get(ActTold, [])])
    _marks(connection, by_kind.get(MarkTold, []))
    _unread(connection, by_kind.get(Unread, []))
    upsert(connection, places, list(rows.values()))
    told_nexts = {
        (run.where.topic, run.where.partition): nexts.get((run.where.topic_id, run.where.partition))
        for run, _ in read
    }
    return Written(records, tuple(misplaced), told_nexts, newest_ms)


def _place(run: Run, next_offset: int, record_ms: int, before: Any) -> dict[str, Any]:  # noqa: ANN401 - a row
    end, checked_ms = max(run.end, next_offset), run.read_ms
    if before is not None:
        end, checked_ms = max(end, before.end), max(checked_ms, before.checked_ms)
    return {
        "topic_id": run.where.topic_id,
        "partition": run.where.partition,
        "topic": run.where.topic,
        "next": next_offset,
        "record_ms": record_ms,
        "end": end,
        "checked_ms": checked_ms,
    }


def _letters(connection: Connection, told: list[LetterTold]) -> None:
    newest = {(each.topic, each.partition, each.key): each for each in told}
    names = ("topic", "partition", "key")
    delete_by(
        connection,
        letters,
        [dict(zip(names, key, strict=True)) for key, each in newest.items() if each.row is None],
    )
    rows = [
        {**dict(zip(names, key, strict=True)), "offset": each.offset, **each.row}
        for key, each in newest.items()
        if each.row is not None
    ]
    upsert(connection, letters, rows)


def _entries(connection: Connection, told: list[EntryTold]) -> None:
    newest = {(each.kind, each.key, each.partition): each for each in told}
    gone = [
        {"kind": each.kind, "key": each.key, "partition": each.partition}
        for each in newest.values()
        if each.value is None
    ]
    delete_by(connection, entries, gone)
    upsert(
        connection, entries, [each._asdict() for each in newest.values() if each.value is not None]
    )


def _marks(connection: Connection, told: list[MarkTold]) -> None:
    newest: dict[tuple[str, str, int], MarkTold] = {}
    for each in told:
        key = each.group, each.topic_id, each.partition
        before = newest.get(key)
        # A late mirror of a former owner must not pull it back; a reset on purpose may.
        if before is None or each.is_reset or each.position >= before.position:
            newest[key] = each
    for is_reset in (False, True):
        rows = [_mark(each) for each in newest.values() if each.is_reset == is_reset]
        upsert(connection, marks, rows, where=None if is_reset else kept(marks, "position"))


def _mark(told: MarkTold) -> dict[str, Any]:
    row = told._asdict()
    del row["is_reset"]
    return row


def _unread(connection: Connection, told: list[Unread]) -> None:
    found: dict[tuple[str, int], dict[str, Any]] = {}
    for each in told:
        row = found.setdefault((each.topic, each.partition), {"n": 0})
        row["n"] += 1
        row["topic"], row["partition"] = each.topic, each.partition
        row["last_offset"], row["last_ms"] = each.offset, each.at_ms
        row["last_reason"] = cleaned(each.reason)[:REASON_CHARS_MAX]
    upsert(connection, unread, list(found.values()), add=("n",))
