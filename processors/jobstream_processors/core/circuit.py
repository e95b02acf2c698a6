"""A circuit breaker's states: closed, open for a time that grows, half-open for a few probes.

It opens once enough of the last runs failed. When the open time is over, a few runs are let through
as probes: if they succeed it closes, and if one fails it opens for longer. Two things stand on
it: the breaker of a dependency (`breaker.py`) and the flood guard of a partition (`deaths.py`).
Times are milliseconds of one clock, which may be any.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from enum import IntEnum

BUCKETS = 10
"""A window is counted in so many parts, and forgets a part at a time."""


class State(IntEnum):
    """How far a circuit lets runs through; the numbers are those of the metric."""

    CLOSED = 0
    """All of them."""
    HALF_OPEN = 1
    """A few, as probes."""
    OPEN = 2
    """None."""


@dataclass(frozen=True, slots=True)
class Terms:
    """When a circuit opens, for how long, and how it closes."""

    ratio: float
    """It opens when this share of the runs in the window failed,"""
    least: int
    """of at least so many runs."""
    window_ms: int | None
    """How long a run counts; None: until the circuit closes or is reset, and then an open one
    waits for its probe however long that takes."""
    open_ms: int
    """How long it is open at first. Each probe that fails doubles that,"""
    open_ms_max: int
    """up to this."""
    probes: int = 1
    """So many probes in a row must succeed, and so many run at once at most."""


class Window:
    """Runs and failures of the last while, in a few numbers."""

    __slots__ = ("_buckets", "_part_ms", "failures", "runs")

    def __init__(self, window_ms: int | None) -> None:
        self._part_ms = None if window_ms is None else max(1, window_ms // BUCKETS)
        self._buckets: deque[tuple[int, int, int]] = deque()
        """(number of the part, runs, failures), oldest first."""
        self.runs = 0
        self.failures = 0

    def add(self, now_ms: int, *, failed: bool) -> None:
        """Count a run that ended now."""
        number = self.forget(now_ms)
        last = self._buckets[-1] if self._buckets else (number - 1, 0, 0)
        if last[0] >= number:  # A clock that went back counts on in the part that it was in.
            self._buckets.pop()
            number = last[0]
        else:
            last = (number, 0, 0)
        self._buckets.append((number, last[1] + 1, last[2] + failed))
        self.runs += 1
        self.failures += failed

    def forget(self, now_ms: int) -> int:
        """Leave out what is too old by now; returns the number of the part that it is now."""
        if self._part_ms is None:
            return 0
        number = now_ms // self._part_ms
        while self._buckets and self._buckets[0][0] <= number - BUCKETS:
            _, runs, failures = self._buckets.popleft()
            self.runs -= runs
            self.failures -= failures
        return number

    def clear(self) -> None:
        """Know of no run."""
        self._buckets.clear()
        self.runs = self.failures = 0


class Circuit:
    """One circuit. Its owner tells it of the ends of all runs, and which were probes."""

    __slots__ = (
        *("_closed_ms", "_good", "_out", "_probing", "era", "open_ms", "probed_ms", "terms"),
        *("until_ms", "window"),
    )

    def __init__(self, terms: Terms) -> None:
        self.terms = terms
        self.window = Window(terms.window_ms)
        self.until_ms: int | None = None
        """While set, no run may begin before that time, and then only a probe."""
        self.era = 0
        """Raised when it opens, opens again or closes: a run that began in another era says
        nothing about this one."""
        self.open_ms = terms.open_ms
        """How long it was opened last, or will be next if it was never."""
        self.probed_ms = 0
        """When the last probe began."""
        self._closed_ms: int | None = None
        self._probing = False
        self._out = 0
        self._good = 0

    @property
    def is_closed(self) -> bool:
        """Whether all runs may begin."""
        return self.until_ms is None and not self._probing

    def state(self, now_ms: int) -> State:
        """What it lets through at this time.

        If no run wants to be a probe for as long as it was open, it is closed: none waits for it.
        """
        if self.is_closed or self._is_over(now_ms):
            return State.CLOSED
        if self.until_ms is not None and now_ms < self.until_ms:
            return State.OPEN
        return State.HALF_OPEN

    # -- while it is closed

    def succeeded(self, now_ms: int) -> None:
        """Count a run that ended well."""
        self.window.add(now_ms, failed=False)

    def failed(self, now_ms: int) -> bool:
        """Count a failed run, which is no probe; True if that opens the circuit."""
        window, terms = self.window, self.terms
        window.add(now_ms, failed=True)
        if not self.is_closed or window.runs < terms.least:
            return False
        if window.failures < terms.ratio * window.runs:
            return False
        self._open(now_ms, again=self._is_relapse(now_ms))
        return True

    def told(self, now_ms: int, until_ms: int) -> bool:
        """Others found that runs fail, and let none begin before `until_ms`; True if that opens it.

        It believes them for the first open time at most, and tries for itself then. A circuit
        that is trying already goes on with that.
        """
        until_ms = min(until_ms, now_ms + self.terms.open_ms)
        if self._probing or until_ms <= now_ms:
            return False
        self.begin(now_ms)
        if self.until_ms is not None:
            self.until_ms = max(self.until_ms, until_ms)
            return False
        if not self._is_relapse(now_ms):
            self.open_ms = self.terms.open_ms
        self._turn(until_ms)
        return True

    # -- while it is not

    def begin(self, now_ms: int) -> bool:
        """A run begins, or is to; True if that closes a circuit for which nothing has waited."""
        if not self._is_over(now_ms):
            return False
        self._turn(None)
        self.window.clear()
        self._closed_ms = now_ms
        return True

    def _is_over(self, now_ms: int) -> bool:
        if self.until_ms is None or self.terms.window_ms is None:
            return False
        return now_ms >= self.until_ms + self.open_ms

    def has_probe(self, now_ms: int) -> bool:
        """Whether a run may begin now as a probe."""
        if self._probing:
            return self._out + self._good < self.terms.probes
        return self.until_ms is not None and now_ms >= self.until_ms

    def take_probe(self, now_ms: int) -> bool:
        """A run begins as a probe, if one may; a True is used up by it."""
        if not self.has_probe(now_ms):
            return False
        self.until_ms = None
        self._probing = True
        self._out += 1
        self.probed_ms = now_ms
        return True

    def probe_succeeded(self, now_ms: int) -> bool:
        """A probe of this era ended well; True if that closes the circuit."""
        self._out -= 1
        self._good += 1
        if self._good < self.terms.probes:
            return False
        self._turn(None)
        self.window.clear()
        self._closed_ms = now_ms
        return True

    def probe_failed(self, now_ms: int) -> None:
        """A probe of this era failed: it is open again, for longer."""
        self.window.add(now_ms, failed=True)
        self._open(now_ms, again=True)

    def probe_unproved(self, now_ms: int, *, wait: bool = False) -> None:
        """A probe of this era says nothing: the next may begin, with `wait` after the open time."""
        if wait:
            self._open(now_ms, again=False)
        else:
            self._out -= 1

    def hold(self, until_ms: int) -> None:
        """Let nothing begin before that time, whatever ran, and probes then."""
        self._turn(until_ms)

    def reset(self) -> None:
        """Close it, and know of nothing that failed before."""
        self._turn(None)
        self.window.clear()
        self.open_ms = self.terms.open_ms
        self._closed_ms = None

    def _is_relapse(self, now_ms: int) -> bool:
        """Whether it closed only a window ago: what failed then has not recovered."""
        window_ms = self.terms.window_ms
        if self._closed_ms is None or window_ms is None:
            return False
        return now_ms - self._closed_ms < window_ms

    def _open(self, now_ms: int, *, again: bool) -> None:
        if again:
            self.open_ms = min(self.open_ms * 2, self.terms.open_ms_max)
        elif self.is_closed:
            self.open_ms = self.terms.open_ms
        self._turn(now_ms + self.open_ms)

    def _turn(self, until_ms: int | None) -> None:
        """What began before has no part in what comes."""
        self.era += 1
        self._probing, self._out, self._good = False, 0, 0
        self.until_ms = until_ms
