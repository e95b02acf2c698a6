"""Which offset may be committed: everything below the watermark is finished, without a gap.

Offsets are given as read; `position` is always the next offset to read. Finished offsets above the
watermark are kept as ranges, so one job that never ends does not fill memory with its successors.
Offsets that the reader skipped are holes: the watermark stands before them until the log has been
read to see whether they hold a record.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


class Watermark:
    """The contiguous watermark of one partition during one assignment. Not thread-safe."""

    def __init__(self, start: int, finished: Iterable[tuple[int, int]] = ()) -> None:
        self.position = start
        """Next offset to commit: every offset below it is finished."""
        self.begun = start
        """Next offset never begun."""
        self.taken = 0
        """How often `begin` was called."""
        self.returned = 0
        """How often `finish` was called, and `begin` said no. Safe from any thread."""
        self._refused = 0
        """How often `begin` said no."""
        self.holes: list[tuple[int, int]] = []
        """[start, end) ranges that were skipped and are not explained, lowest first."""
        self._end_of: dict[int, int] = {}
        self._start_of: dict[int, int] = {}
        self._restored = _merged(start, finished)

    def begin(self, offset: int) -> bool:
        """Take up `offset`; False if it was begun before or is known to be finished.

        Offsets come in rising order. Those skipped become holes: a transaction's marker and what
        was compacted hold no record, but a record that the client left out would be lost. One that
        comes late, out of a hole, is taken up like any other.
        """
        self.taken += 1
        if offset < self.begun:
            if self.holes and self._fill(offset):
                return True
            self.returned += 1
            self._refused += 1
            return False
        if offset > self.begun:
            self._skip(self.begun, offset)
        self.begun = offset + 1
        if self._restored and self._was_finished(offset):
            self._add(offset, offset + 1)
            self.returned += 1
            self._refused += 1
            return False
        return True

    def finish(self, offset: int) -> None:
        """Settle `offset`, which was begun and is not finished yet."""
        self.returned += 1
        if offset == self.position and not self._end_of:
            self.position = offset + 1
        else:
            self._add(offset, offset + 1)

    def explain(self, holes: Iterable[tuple[int, int]]) -> None:
        """These offsets hold no record, as the log showed: they count as finished."""
        empty = set(holes)
        explained = [hole for hole in self.holes if hole in empty]
        self.holes = [hole for hole in self.holes if hole not in empty]
        for low, high in explained:
            self._add(low, high)

    @property
    def unfinished(self) -> int:
        """How many offsets are begun and not finished."""
        return self.taken - self.returned

    @property
    def settled(self) -> int:
        """How often `finish` was called."""
        return self.returned - self._refused

    @property
    def gap(self) -> int:
        """How many offsets above the watermark are finished."""
        missing = sum(high - low for low, high in self.holes)
        return self.begun - self.position - self.unfinished - missing

    def ranges(self) -> list[tuple[int, int]]:
        """Finished [start, end) ranges above the watermark, lowest first.

        Something unfinished lies before each of them, but for one where restored ones begin.
        """
        ahead = [(max(low, self.begun), high) for low, high in self._restored if high > self.begun]
        return sorted(self._end_of.items()) + ahead

    def _was_finished(self, offset: int) -> bool:
        while self._restored and self._restored[0][1] <= offset:
            self._restored.popleft()
        return bool(self._restored) and self._restored[0][0] <= offset

    def _skip(self, low: int, high: int) -> None:
        """Make [low, high) a hole, but for what is known to be finished."""
        while self._restored and self._restored[0][0] < high:
            start, end = self._restored[0]
            if end <= low:
                self._restored.popleft()
                continue
            if low < start:
                self.holes.append((low, start))
            if end > high:
                self._add(max(low, start), high)
                return
            self._restored.popleft()
            self._add(max(low, start), end)
            low = end
        if low < high:
            self.holes.append((low, high))

    def _fill(self, offset: int) -> bool:
        """Begin an offset out of a hole; False if it is in none."""
        for index, (low, high) in enumerate(self.holes):
            if low <= offset < high:
                rest = ((low, offset), (offset + 1, high))
                self.holes[index : index + 1] = [(start, end) for start, end in rest if start < end]
                return True
        return False

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
