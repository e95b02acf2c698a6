"""When sessions begin and end, by the log of one partition alone. Pure.

Only what every reading of the log gives again is used: offsets, and the brokers' time of clicks. So
a second reading after a crash finds the same sessions, and their jobs have the same ids.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import OrderedDict
from dataclasses import dataclass

GAP_MS = 2_000
"""A pause that is longer ends a session. Real ones take half an hour."""
LENGTH_MS_MAX = 60_000
"""A session that goes on for longer is cut, so that what has to be read again stays bounded."""


@dataclass(slots=True)
class Session:
    """Clicks of one user."""

    user: str
    first: int
    """Offset of its first click."""
    last: int
    began_ms: int
    ended_ms: int
    clicks: int = 1

    @property
    def name(self) -> str:
        """The same at each reading of the log, and another for every other session."""
        return f"{self.user}:{self.began_ms}:{self.first}"

    def takes(self, at_ms: int) -> bool:
        """Whether a click at that moment belongs to it."""
        return at_ms <= self.ended_ms + GAP_MS and at_ms <= self.began_ms + LENGTH_MS_MAX


class PartitionSessions:
    """Those of one partition, fed in the order of offsets. A click costs as much with many open."""

    def __init__(self) -> None:
        self._open: OrderedDict[str, Session] = OrderedDict()
        """By user, in the order of their last clicks: the first ends first, if by its pause."""
        self._begun: OrderedDict[str, Session] = OrderedDict()
        """The same in the order of their first clicks: the first ends first, if by its length."""
        self._ended: list[tuple[int, int]] = []
        """From which to which offset ended ones reach, in order; those that overlap are one."""
        self._next = 0

    def click(self, user: str, offset: int, at_ms: int) -> list[Session]:
        """Take one click; returns the sessions that it shows to have ended, the user's own first.

        Time goes on for all users with each click of any: brokers stamp a partition in order.
        """
        self._next = offset + 1
        mine = self._open.get(user)
        if mine is not None and mine.takes(at_ms):
            mine.last, mine.ended_ms, mine.clicks = offset, at_ms, mine.clicks + 1
            self._open.move_to_end(user)
            return self._over(at_ms)
        own = [self._end(mine)] if mine is not None else []
        self._open[user] = self._begun[user] = Session(user, offset, offset, at_ms, at_ms)
        return own + self._over(at_ms)

    def tick(self, offset: int, at_ms: int) -> list[Session]:
        """Take a record that is no click, and only tells the time."""
        self._next = offset + 1
        return self._over(at_ms)

    @property
    def has_open(self) -> bool:
        """Whether any session waits for its end."""
        return bool(self._open)

    def _over(self, now_ms: int) -> list[Session]:
        """The sessions that have ended by then: no click later than now can belong to them."""
        found = []
        for in_order in (self._open, self._begun):
            while in_order and not (first := next(iter(in_order.values()))).takes(now_ms):
                found.append(self._end(first))
        return found

    @property
    def position(self) -> int:
        """Where to read on after a crash: each session lies before it or behind it, none across.

        A session that was cut in two here would be found as another one, with another id.
        """
        at = next(iter(self._begun.values())).first if self._begun else self._next
        before = bisect_left(self._ended, (at,))
        if before and self._ended[before - 1][1] >= at:
            before -= 1
            at = self._ended[before][0]
        del self._ended[:before]
        return at

    def _end(self, session: Session) -> Session:
        del self._open[session.user], self._begun[session.user]
        low = bisect_left(self._ended, (session.first,))
        if low and self._ended[low - 1][1] > session.first:
            low -= 1
        high = bisect_left(self._ended, (session.last,))
        reach = [(session.first, session.last), *self._ended[low:high]]
        self._ended[low:high] = [(min(reach)[0], max(last for _, last in reach))]
        return session
