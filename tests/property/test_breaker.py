"""A breaker beside a naive model: it opens by the ratio, for a time that grows, and never for good.

Runs begin and end in any order while time passes, others tell of openings, and operators interfere.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    rule,
)

from jobstream_processors.core.breaker import Breaker
from jobstream_processors.core.breaker_guard import BreakerGuard, Change, Health
from jobstream_processors.core.circuit import BUCKETS, State, Window

if TYPE_CHECKING:
    from jobstream_processors.core.verdict import NotBefore

WINDOW_MS = 10_000
PART_MS = WINDOW_MS // BUCKETS


class Breakers(RuleBasedStateMachine):
    """One process's view of one breaker."""

    runs = Bundle("runs")

    @initialize(
        ratio=st.sampled_from([0.1, 0.5, 0.75, 1.0]),
        least=st.integers(1, 6),
        open_s=st.integers(1, 5),
        times=st.integers(1, 8),
        probes=st.integers(1, 3),
    )
    def declared(self, ratio: float, least: int, open_s: int, times: int, probes: int) -> None:
        self.breaker = Breaker(
            "smtp",
            ratio=ratio,
            window=WINDOW_MS / 1000,
            least=least,
            open=open_s,
            open_max=open_s * times,
            probes=probes,
        )
        self.guard = BreakerGuard(self.breaker)
        self.now_ms = 1_000_000
        self.counted: list[tuple[int, bool]] = []
        """(time, failed) of each run that counts."""
        self.out = 0
        """Probes on their way."""
        self.good = 0
        self.serial = 0

    # -- time

    @rule(ms=st.integers(0, 20_000))
    def time_passes(self, ms: int) -> None:
        self.now_ms += ms

    # -- runs

    @rule(target=runs)
    def begins(self) -> tuple[int, bool, int]:
        self.serial += 1
        state = self.guard.state(self.now_ms)
        verdict = self.guard.verdict(self.now_ms, f"job-{self.serial}", 0, 0)
        if state is State.CLOSED:
            assert verdict is None, "a closed breaker keeps nothing"
        elif state is State.OPEN:
            assert verdict is not None, "an open breaker lets nothing begin"
        else:
            free = self.out + self.good < self.breaker.probes
            assert (verdict is None) == free, "half-open, it lets so many probes begin"
        if verdict is not None:
            self._bounded(verdict)
            return (-1, False, 0)
        if state is State.CLOSED and self.guard.circuit.until_ms is not None:
            self._anew()  # Nothing had waited for it.
        is_probe = state is State.HALF_OPEN
        self.out += is_probe
        return (self.guard.begins(self.now_ms), is_probe, self.serial)

    def _bounded(self, verdict: NotBefore) -> None:
        terms = self.guard.circuit.terms
        assert verdict.reason == "breaker"
        assert verdict.until_ms > self.now_ms
        assert verdict.until_ms - self.now_ms <= terms.open_ms_max * 3 // 2

    @rule(run=consumes(runs), health=st.sampled_from(Health))
    def ends(self, run: tuple[int, bool, int], health: Health) -> None:
        era, is_probe, _ = run
        guard, now_ms = self.guard, self.now_ms
        if era < 0:
            return
        current, before = guard.circuit.era == era, guard.circuit.state(now_ms)
        held, open_ms = guard.forced(now_ms), guard.circuit.open_ms

        change = guard.ended(now_ms, era, health)

        if not current or held is not None:
            assert change is None, "what began before says nothing of now"
            assert guard.circuit.state(now_ms) is before
            return
        if not is_probe:
            self._counts(health, change)
        elif health is Health.BAD:
            assert change is Change.REOPENED
            self._opened(min(2 * open_ms, self.breaker.open_ms_max))
        elif health is Health.UNKNOWN:
            assert change is None
            self.out -= 1
        else:
            self.out, self.good = self.out - 1, self.good + 1
            assert (change is Change.CLOSED) == (self.good >= self.breaker.probes)
            if change is not None:
                assert guard.state(now_ms) is State.CLOSED
                self._anew()

    def _counts(self, health: Health, change: Change | None) -> None:
        if health is not Health.UNKNOWN:
            self.counted.append((self.now_ms, health is Health.BAD))
        first = self.now_ms // PART_MS - BUCKETS
        recent = [failed for at, failed in self.counted if at // PART_MS > first]
        enough = len(recent) >= self.breaker.least
        bad = health is Health.BAD and sum(recent) >= self.breaker.ratio * len(recent)
        assert (change is Change.OPENED) == (enough and bad)
        if change is not None:
            terms = self.guard.circuit.terms
            length_ms = (self.guard.circuit.until_ms or 0) - self.now_ms
            assert terms.open_ms <= length_ms <= terms.open_ms_max
            self._opened(length_ms)

    def _opened(self, length_ms: int) -> None:
        assert self.guard.state(self.now_ms) is State.OPEN
        assert self.guard.until_ms(self.now_ms) == self.now_ms + length_ms
        self.out = self.good = 0

    def _anew(self) -> None:
        self.counted.clear()
        self.out = self.good = 0

    # -- others

    @rule(ms=st.integers(-5_000, 60_000))
    def told(self, ms: int) -> None:
        guard, before = self.guard, self.guard.state(self.now_ms)
        until_before = guard.circuit.until_ms

        opened = guard.told(self.now_ms, self.now_ms + ms)

        if opened:
            assert before is State.CLOSED
            assert guard.state(self.now_ms) is State.OPEN
            self.out = self.good = 0
        elif before is State.CLOSED:
            assert ms <= 0 or guard.forced(self.now_ms) is not None
        bound_ms = max(until_before or 0, self.now_ms + self.breaker.open_ms)
        assert (guard.circuit.until_ms or 0) <= bound_ms, "believed for the first open time at most"

    @rule(state=st.sampled_from([State.OPEN, State.CLOSED]), ms=st.integers(1, 60_000))
    def held(self, state: State, ms: int) -> None:
        self.guard.force(state, self.now_ms + ms)

        assert self.guard.state(self.now_ms) is state
        self._anew()

    @rule()
    def released(self) -> None:
        was_held = self.guard.forced(self.now_ms) is not None
        before = self.guard.circuit.state(self.now_ms)

        self.guard.release(self.now_ms)

        assert self.guard.forced(self.now_ms) is None
        if was_held:
            assert self.guard.state(self.now_ms) is State.CLOSED
            self._anew()
        else:
            assert self.guard.state(self.now_ms) is before

    # -- what always holds

    @invariant()
    def never_for_good(self) -> None:
        until_ms = self.guard.circuit.until_ms
        if until_ms is not None:
            later = max(self.now_ms, until_ms)
            assert self.guard.verdict(later, "a", 0, 0) is None, "a probe may begin then"


TestBreakers = Breakers.TestCase


class Windows(RuleBasedStateMachine):
    """A window beside all that was counted in it; the clock may go back."""

    @initialize()
    def made(self) -> None:
        self.window = Window(WINDOW_MS)
        self.now_ms = 1_000_000
        self.ends: list[int] = []

    @rule(ms=st.integers(-2_000, 15_000), failed=st.booleans())
    def counts(self, ms: int, *, failed: bool) -> None:
        self.now_ms += ms
        self.window.add(self.now_ms, failed=failed)
        self.ends.append(max(self.now_ms, *self.ends, 0))

    @invariant()
    def holds_what_is_recent(self) -> None:
        newest = self.ends[-1] if self.ends else 0
        sure = sum(end > newest - WINDOW_MS + PART_MS for end in self.ends)
        perhaps = sum(end >= newest - WINDOW_MS - PART_MS for end in self.ends)
        assert sure <= self.window.runs <= perhaps
        assert 0 <= self.window.failures <= self.window.runs


TestWindows = Windows.TestCase
