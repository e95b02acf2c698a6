"""Records of one partition as they were read: a range of offsets, and what stands in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jobstream.views.changes import Where
    from jobstream_processors.ports import Record


class Run(NamedTuple):
    """Everything that the log has in [start, stop) of a partition: compaction leaves gaps."""

    where: Where
    start: int
    stop: int
    records: Sequence[Record]
    end: int
    """The next offset to be written to the partition, when the run was read."""
    read_ms: int
    """When it was read, by this machine."""


class Written(NamedTuple):
    """What became of a batch."""

    records: int
    """Folded; those that were in the tables already are not counted."""
    misplaced: tuple[Run, ...]
    """Runs that begin after the stored offset: another instance went back, or this one jumped.

    Or a rebuild put tables in place in which the partition has not begun.
    """
    nexts: dict[tuple[str, int], int | None]
    """(topic, partition) → the next offset to fold, as it is stored now; None: no place is."""
    newest_ms: int
    """The append time of the newest record."""


def halves(runs: Sequence[Run]) -> tuple[list[Run], list[Run]] | None:
    """The runs in two parts, in their order; None where there is one record, or none."""
    middle = len(runs) // 2
    if middle:
        return list(runs[:middle]), list(runs[middle:])
    (run,) = runs
    middle = len(run.records) // 2
    if not middle:
        return None
    at = run.records[middle].offset() or 0
    first = run._replace(stop=at, records=run.records[:middle])
    return [first], [run._replace(start=at, records=run.records[middle:])]


def both(one: Written, next_: Written) -> Written:
    """What became of two batches, the later one last."""
    return Written(
        one.records + next_.records,
        one.misplaced + next_.misplaced,
        one.nexts | next_.nexts,
        max(one.newest_ms, next_.newest_ms),
    )
