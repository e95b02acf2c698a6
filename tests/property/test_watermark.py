"""The watermark against a naive model that keeps every finished offset in a set.

Offsets are begun in rising order with gaps, some of which are explained or come late, finish in any
order, and some are known to be finished from an earlier owner's ranges.
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from jobstream_processors.core.watermark import Watermark

spans = st.tuples(st.integers(0, 40), st.integers(0, 8)).map(lambda at: (at[0], at[0] + at[1]))


def offsets(ranges: list[tuple[int, int]]) -> set[int]:
    return {offset for low, high in ranges for offset in range(low, high)}


def runs(found: set[int]) -> int:
    """How many ranges it takes to write down a set of offsets."""
    return sum(offset - 1 not in found for offset in found)


class AnyOrder(RuleBasedStateMachine):
    """Begins, skips and finishes at will; the model is plain sets."""

    @initialize(start=st.integers(0, 20), restored=st.lists(spans, max_size=4))
    def assigned(self, start: int, restored: list[tuple[int, int]]) -> None:
        self.mark = Watermark(start, restored)
        self.start = start
        self.begun = start
        self.restored = {offset for offset in offsets(restored) if offset >= start}
        self.unfinished: set[int] = set()
        self.holes: set[int] = set()

    @rule(skipped=st.integers(0, 3))
    def begin(self, skipped: int) -> None:
        offset = self.begun + skipped
        fresh = self.mark.begin(offset)

        assert fresh == (offset not in self.restored)
        self.holes |= set(range(self.begun, offset)) - self.restored
        self.begun = offset + 1
        if fresh:
            self.unfinished.add(offset)

    @rule(back=st.integers(1, 10))
    def begin_again(self, back: int) -> None:
        """A record comes twice; it is fresh only if it was skipped before."""
        offset = self.begun - back

        assert self.mark.begin(offset) == (offset in self.holes)
        if offset in self.holes:
            self.holes.discard(offset)
            self.unfinished.add(offset)

    @rule(data=st.data())
    def explain(self, data: st.DataObject) -> None:
        told = list(self.mark.holes)
        chosen = data.draw(st.lists(st.sampled_from(told), unique=True)) if told else []

        self.mark.explain([*chosen, (1_000, 1_001)])
        self.holes -= offsets(chosen)

    @precondition(lambda self: self.unfinished)
    @rule(data=st.data())
    def finish(self, data: st.DataObject) -> None:
        offset = data.draw(st.sampled_from(sorted(self.unfinished)))
        self.unfinished.discard(offset)

        self.mark.finish(offset)

    @invariant()
    def position_is_the_first_offset_that_is_not_finished(self) -> None:
        assert self.mark.position == min(self.unfinished | self.holes, default=self.begun)

    @invariant()
    def holes_are_what_was_skipped_and_never_explained(self) -> None:
        assert offsets(self.mark.holes) == self.holes
        assert self.mark.holes == sorted(self.mark.holes)
        assert self.mark.gap == len(self.above())

    def above(self) -> set[int]:
        return set(range(self.mark.position, self.begun)) - self.unfinished - self.holes

    @invariant()
    def ranges_tell_all_that_is_finished_above(self) -> None:
        ahead = {offset for offset in self.restored if offset >= self.begun}
        ranges = self.mark.ranges()

        assert offsets(ranges) == self.above() | ahead
        assert ranges == sorted(ranges)
        assert all(low < high for low, high in ranges)

    @invariant()
    def ranges_are_no_more_than_what_stands_between_them(self) -> None:
        """A job that is unfinished or not begun, or a hole; each hole is one, however long."""
        not_begun = set(range(self.mark.begun, 60)) - self.restored
        between = len(self.unfinished) + len(not_begun) + len(self.mark.holes)
        assert len(self.mark.ranges()) <= between + 1

    @invariant()
    def counts_agree(self) -> None:
        assert self.mark.unfinished == len(self.unfinished)
        assert self.mark.begun == self.begun

    @invariant()
    def memory_is_one_entry_per_range(self) -> None:
        own = [low for low, _ in self.mark.ranges() if low < self.begun]

        assert len(own) == runs(self.above())


TestAnyOrder = AnyOrder.TestCase


@given(st.integers(0, 100), st.permutations(range(12)))
def test_any_order_ends_at_the_end(start: int, order: list[int]) -> None:
    mark = Watermark(start)
    for offset in range(12):
        mark.begin(start + offset)
    for offset in order:
        mark.finish(start + offset)

    assert mark.position == start + 12
    assert mark.ranges() == []


@given(st.integers(2, 500))
def test_one_head_that_never_ends_costs_one_range(followers: int) -> None:
    mark = Watermark(0)
    for offset in range(followers):
        mark.begin(offset)
    for offset in range(1, followers):
        mark.finish(offset)

    assert mark.position == 0
    assert mark.ranges() == [(1, followers)]


@given(st.integers(0, 20), st.lists(spans, max_size=5))
def test_next_owner_starts_where_the_last_one_stood(
    start: int, restored: list[tuple[int, int]]
) -> None:
    """What an owner mirrors (position and ranges) is all that the next one needs."""
    first = Watermark(start, restored)
    for offset in range(start, 50):
        first.begin(offset)
    second = Watermark(first.position, first.ranges())

    taken = [offset for offset in range(first.position, 50) if second.begin(offset)]
    assert set(taken) == {o for o in range(start, 50) if o not in offsets(restored)}
