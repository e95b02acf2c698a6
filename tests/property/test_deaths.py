"""The flood guard closes after enough deaths in a row, never for good; one probe at a time."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from jobstream_processors.core.deaths import PAUSE_MS_FIRST, PAUSE_MS_MAX, FloodGuard


class Flood(RuleBasedStateMachine):
    """Jobs end one after the other while time passes."""

    @initialize(limit=st.integers(1, 4))
    def assigned(self, limit: int) -> None:
        self.guard = FloodGuard(limit)
        self.limit = limit
        self.now_ms = 0
        self.in_a_row = 0
        self.probing = False

    @rule()
    def death(self) -> None:
        was_open = self.guard.is_open
        was_held = self.guard.until_ms is not None
        self.in_a_row += 1

        closed = self.guard.died(self.now_ms)

        assert closed == (self.probing or (was_open and self.in_a_row >= self.limit))
        assert self.guard.is_open == (was_open and not closed)
        if closed:
            assert self.guard.until_ms is not None
            pause_ms = self.guard.until_ms - self.now_ms
            assert PAUSE_MS_FIRST <= pause_ms <= PAUSE_MS_MAX
        assert was_held <= (self.guard.until_ms is not None)
        self.probing = False

    @rule()
    def life(self) -> None:
        was_open = self.guard.is_open

        assert self.guard.lived() == (not was_open)
        assert self.guard.is_open
        self.in_a_row = 0
        self.probing = False

    @rule(ms=st.integers(0, PAUSE_MS_MAX))
    def time_passes(self, ms: int) -> None:
        self.now_ms += ms

    @rule()
    def ask(self) -> None:
        until_ms = self.guard.until_ms
        may = self.guard.may_probe(self.now_ms)

        assert may == (until_ms is not None and self.now_ms >= until_ms)
        if may:
            assert not self.guard.may_probe(self.now_ms), "one probe at a time"
            self.probing = True

    @precondition(lambda self: self.guard.until_ms is not None)
    @rule()
    def hold_ends(self) -> None:
        assert self.guard.may_probe(self.now_ms + PAUSE_MS_MAX)
        self.probing = True

    @invariant()
    def deaths_are_counted_in_a_row(self) -> None:
        assert self.guard.deaths == self.in_a_row

    @invariant()
    def few_deaths_hold_nobody(self) -> None:
        assert self.guard.is_open or self.in_a_row >= self.limit


TestFlood = Flood.TestCase
