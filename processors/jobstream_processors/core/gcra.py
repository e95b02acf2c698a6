"""GCRA with reservation: at which moment a job may start so that a rate is never passed.

The generic cell rate algorithm keeps one time, that at which all starts so far are paid for (the
"theoretical arrival time"). A start is free if this time lies no more than a burst ahead. Here a
job that must wait takes its start now, and is promised a moment; so those who wait start first
come, first served, and none asks twice. A job that comes too late for its moment waits behind
what has really started meanwhile: the rate holds for starts, not for promises.

Times are kept in nanoseconds, and the time between two starts is rounded up to one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, NamedTuple

NS: Final = 1_000_000
"""Nanoseconds in a millisecond."""
NEAR_MS: Final = 1_000
"""What is paid for or promised less far ahead stands in no row of the dedup table, and so counts as
used after a change of owner."""


@dataclass(frozen=True, slots=True)
class CellRate:
    """`starts` in `period_ms`, and `burst` of them at once after a pause."""

    starts: int
    period_ms: int
    burst: int
    step_ns: int = field(init=False)
    """The time that one start takes up."""
    ahead_ns: int = field(init=False)
    """How far ahead may be paid for when one more starts."""

    def __post_init__(self) -> None:
        """Reckon once what every start asks for."""
        object.__setattr__(self, "step_ns", -(-self.period_ms * NS // self.starts))
        object.__setattr__(self, "ahead_ns", (self.burst - 1) * self.step_ns)

    @property
    def span_ms(self) -> int:
        """How far ahead real starts can be paid for: after so long, all of them are forgotten."""
        return -(-self.burst * self.step_ns // NS)


class Gcra:
    """The starts of one key at one rate. Mutable; its owner tells it the time."""

    __slots__ = ("_late", "_promised", "_slowed", "_started", "pace")

    def __init__(self, pace: CellRate, paid_ms: int = 0, promised_ms: int = 0) -> None:
        """`paid_ms`: starts are paid for up to then; `promised_ms`: promises are."""
        self.pace = pace
        self._started = self._late = paid_ms * NS
        self._promised = max(paid_ms, promised_ms) * NS
        self._slowed = 0

    @property
    def paid_ms(self) -> int:
        """Up to when real starts are paid for."""
        return -(-self._started // NS)

    @property
    def promised_ms(self) -> int:
        """Up to when starts are promised."""
        return -(-self._promised // NS)

    @property
    def slowed_ms(self) -> int:
        """Up to when `slow` holds all back, at any pace; 0 if it never did."""
        return self._slowed // NS

    def standing(self) -> tuple[CellRate, int, int]:
        """Its pace, and up to when starts are paid for and promised at it. Safe in any thread."""
        while True:
            pace = self.pace
            # What has started is read first: it never passes what is promised.
            found = pace, self.paid_ms, self.promised_ms
            if self.pace is pace:
                return found

    def is_idle(self, now_ms: int) -> bool:
        """Whether it stands as if nothing had ever started."""
        return max(self._promised, self._late) <= now_ms * NS

    def promise(self, now_ms: int) -> int:
        """Take a start; returns the moment at which it is due, now or later."""
        paid = self._promised
        self._promised = max(paid, now_ms * NS) + self.pace.step_ns
        return self._free_at(paid, now_ms)

    def take_back(self) -> None:
        """A promise is not wanted any more: the next one is earlier by a start.

        The promises to others stay. Two may then be due at one moment; only one starts.
        """
        self._promised = max(self._started, self._promised - self.pace.step_ns)

    def may_start_at(self, now_ms: int) -> int:
        """Now, or when the next start is free by what has really started."""
        return self._free_at(self._started, now_ms)

    def promise_late(self, now_ms: int) -> int:
        """The next moment for one whose own has passed while others have started."""
        paid = max(self._late, self._started)
        self._late = max(paid, now_ms * NS) + self.pace.step_ns
        return self._free_at(paid, now_ms)

    def started(self, now_ms: int) -> None:
        """One starts now, for which a start was promised."""
        self._started = max(self._started, now_ms * NS) + self.pace.step_ns
        self._promised = max(self._promised, self._started)

    def slow(self, until_ms: int) -> None:
        """Nothing starts before that moment, and then without a burst."""
        self._slowed = max(self._slowed, until_ms * NS)
        paid = until_ms * NS + self.pace.ahead_ns
        self._started = max(self._started, paid)
        self._promised = max(self._promised, self._started)

    def change_pace(self, pace: CellRate, now_ms: int) -> None:
        """Go on at another pace. At a slower one, what is paid for and promised stays.

        At a faster one the same number of starts takes less time, but for what `slow` said.
        """
        before_ns, step_ns, now_ns = self.pace.step_ns, pace.step_ns, now_ms * NS
        if step_ns >= before_ns:
            self.pace = pace
            return

        def sooner(paid: int) -> int:
            ahead = paid - now_ns
            return paid if ahead <= 0 else now_ns + -(-ahead * step_ns // before_ns)

        self._started, self._late = sooner(self._started), sooner(self._late)
        self._promised = sooner(self._promised)
        self.pace = pace  # Last, so that no other thread reads with it what was counted before.
        if self._slowed > now_ns:
            self.slow(self._slowed // NS)

    def _free_at(self, paid: int, now_ms: int) -> int:
        free = paid - self.pace.ahead_ns
        return now_ms if free <= now_ms * NS else -(-free // NS)


class Metered(NamedTuple):
    """A meter, and the name of its limit in the dedup table."""

    name: str
    meter: Gcra


def name_at(name: str, pace: CellRate) -> str:
    """The name under which the table keeps how far a limit is paid at that pace.

    Each pace has its own: an hour that is paid at one start an hour is nothing at ten a second.
    """
    return f"{name}:{pace.starts}/{pace.period_ms}"


def share_of(whole: int, partition: int, partitions: int) -> int:
    """What one partition may use of a number that is for all; the shares add up to the whole."""
    return whole // partitions + (1 if partition < whole % partitions else 0)
