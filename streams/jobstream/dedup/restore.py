"""Reads rows of the dedup topic into a shard, after a move or a crash.

Reads through the `Log` port, by position and up to a given offset. Rows that can't be read are
counted and skipped, so that a stranger's record in the topic stops no worker.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

from jobstream.dedup.shard import Mark
from jobstream_processors.core.known import DONE, TERMINAL
from jobstream_processors.errors import NoLongerWanted
from jobstream_processors.row_facts import fact_of, key_fact_of
from jobstream_schemas import DecodeError, parse_row, usual_done

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from jobstream.dedup.shard import RocksShard
    from jobstream_processors.core.key_facts import KeyFacts
    from jobstream_processors.core.known import Known
    from jobstream_processors.ports import Log, Record, TopicPartition
    from jobstream_schemas import Row

    OnProgress = Callable[[TopicPartition, int, int], None]

PROGRESS_S = 1.0
_FACTS = frozenset({"moved", "parked", "crash", "limit"})


class RestoredRows(NamedTuple):
    """The records of one batch, sorted by what is to be done with them."""

    done: list[tuple[str, bytes, bytes]]
    facts: list[tuple[str, Known]]
    holds: list[tuple[str, KeyFacts]]
    claims: list[int]
    """Offsets of claim rows, in their order."""
    unreadable: int


class Restored(NamedTuple):
    """The counts of a restore; every row below `position` is in the shard once it returns."""

    position: int
    rows: int
    unreadable: int
    previous_claim: int | None
    """The last claim below the offset that was asked about."""


class Progress:
    """Tells of a restore about once a second, and at its end."""

    def __init__(
        self, tell: OnProgress | None, now_s: Callable[[], float] = time.monotonic
    ) -> None:
        self._tell = tell
        self._now_s = now_s
        self._told_s = now_s()

    def step(self, partition: TopicPartition, rows: int, remaining: int) -> None:
        """Tell, if it is time: `remaining` offsets are to be read, with gaps fewer rows."""
        if self._tell is None:
            return
        now_s = self._now_s()
        if remaining == 0 or now_s - self._told_s >= PROGRESS_S:
            self._told_s = now_s
            self._tell(partition, rows, remaining)


def sort_rows(records: Sequence[Record]) -> RestoredRows:
    """Sort a batch; what is unreadable, or of a kind that tells nothing of a job, is left out."""
    rows = RestoredRows([], [], [], [], 0)
    unreadable = 0
    done = rows.done.append
    for record in records:
        key, value = record.key() or b"", record.value() or b""
        usual = usual_done(key, value)
        if usual is not None:
            done(usual)
            continue
        try:
            row = parse_row(key, value)
        except DecodeError:
            unreadable += 1
            continue
        if row.state == DONE and row.kind == "job":
            done((row.id, row.fingerprint, row.digest))
        elif _tells(row):
            rows.facts.append((row.id, fact_of(row)))
        elif row.kind == "unique":
            hold = key_fact_of(row)
            if hold is None:
                unreadable += 1
            else:
                rows.holds.append(hold)
        elif row.kind == "claim":
            rows.claims.append(record.offset() or 0)
        elif row.kind == "job":
            unreadable += 1
    return rows._replace(unreadable=unreadable)


def replay(
    shard: RocksShard,
    log: Log,
    partition: TopicPartition,
    stop: int,
    *,
    below_claim: int,
    progress: Progress,
    until_s: float | None = None,
    needed: Callable[[], bool] | None = None,
) -> Restored:
    """Bring `shard` from its mark up to `stop`, or as far as `until_s` (monotonic) allows.

    Blocks while reading; raises NoLongerWanted within about a second once `needed` says no. The
    mark moves with each batch in the same write, so a restore that was cut off goes on where it
    stopped. Offsets that retention has deleted are passed over: time deletes rows in topic and
    shard alike.
    """
    position, claim = shard.marked()
    previous = claim if claim is not None and claim < below_claim else None
    first, _ = log.span(partition)
    rows = unreadable = 0
    for records in log.read(partition, max(position, first), stop):
        if needed is not None and not needed():
            message = f"{partition[0]} [{partition[1]}]: given up at offset {position} of {stop}"
            raise NoLongerWanted(message)
        if not records:
            if until_s is not None and time.monotonic() >= until_s:
                break
            continue
        batch = sort_rows(records)
        previous = max((c for c in batch.claims if c < below_claim), default=previous)
        claim = max(batch.claims, default=claim)
        position = (records[-1].offset() or 0) + 1
        shard.apply(batch.done, batch.facts, Mark(position, claim), batch.holds)
        rows += len(records)
        unreadable += batch.unreadable
        progress.step(partition, rows, max(stop - position, 1))
        if until_s is not None and time.monotonic() >= until_s:
            break
    else:
        # The log ends by position: after the last row there may be a gap, or nothing at all.
        position = max(position, stop)
        shard.mark(Mark(position, claim))
        progress.step(partition, rows, 0)
    return Restored(position, rows, unreadable, previous)


def _tells(row: Row) -> bool:
    """Whether the row tells something of its id; foreign rows may carry any words."""
    return row.kind in _FACTS or (row.kind == "job" and row.state in TERMINAL)
