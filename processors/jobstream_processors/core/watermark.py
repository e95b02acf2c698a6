"""Which offset may be committed: everything below the watermark is finished, without a gap.

Offsets are given as read; `position` is always the next offset to read. Finished offsets above the
watermark are kept as ranges, so one job that never ends does not fill memory with its successors.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


class Watermark:
    """The contiguous watermark of one partition during one assignment. Not thread-safe."""

    __slots__ = ("_end_of", "_restored", "_start_of", "begun", "position", "unfinished")

    def __init__(self, start: int, finished: Iterable[tuple[int, int]] = ()) -> None:
        self.position = start
        """Next offset to commit: every offset below it is finished."""
        self.begun = start
        """Next offset never begun."""
        self.unfinished = 0
        self._end_of: dict[int, int] = {}
        self._start_of: dict[int, int] = {}
        self._restored = _merged(start, finished)

    def begin(self, offset: int) -> bool:
        """Take up `offset`; False if it was begun before or is known to be finished.

        Offsets come in rising order. Those skipped (compaction, transaction markers) hold no
        record, so they count as finished.
        """
        if offset < self.begun:
            return False
        if offset > self.begun:
            self._add(self.begun, offset)
        self.begun = offset + 1
        if self._restored and self._was_finished(offset):
            self._add(offset, offset + 1)
            return False
        self.unfinished += 1
        return True

    def finish(self, offset: int) -> None:
        """Settle `offset`, which was begun and is not finished yet."""
        self.unfinished -= 1
        if offset == self.position and not self._end_of:
            self.position = offset + 1
        else:
            self._add(offset, offset + 1)

    @property
    def gap(self) -> int:
        """How many offsets above the watermark are finished."""
        return self.begun - self.position - self.unfinished

    def ranges(self, limit: int | None = None) -> list[tuple[int, int]]:
        """Finished [start, end) ranges above the watermark, lowest first, at most `limit`."""
        ahead = [(max(low, self.begun), high) for low, high in self._restored if high > self.begun]
        return (sorted(self._end_of.items()) + ahead)[:limit]

    def _was_finished(self, offset: int) -> bool:
        while self._restored and self._restored[0][1] <= offset:
            self._restored.popleft()
        return bool(self._restored) and self._restored[0][0] <= offset

    def _add(self, low: int, high: int) -> None:
        """Merge [low, high), of which nothing is finished yet, with its neighbours."""
        start = self._start_of.pop(low, None)
        if start is None:
            start = low
        else:
            del self._end_of[start]
        end = self._end_of.pop(high, None)
        if end is None:
            end = high
        else:
            del self._start_of[end]
        if start == self.position:
            self.position = end
        else:
            self._end_of[start] = end
            self._start_of[end] = start


def _merged(start: int, ranges: Iterable[tuple[int, int]]) -> deque[tuple[int, int]]:
    """The ranges above `start`, lowest first, those that touch or overlap made one."""
    merged: deque[tuple[int, int]] = deque()
    for low, high in sorted(ranges):
        at = max(low, start)
        if high <= at:
            continue
        if merged and at <= merged[-1][1]:
            at, reached = merged.pop()
            high = max(high, reached)  # noqa: PLW2901 - the range grows
        merged.append((at, high))
    return merged
