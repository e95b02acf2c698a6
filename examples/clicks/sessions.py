"""When sessions begin and end, by the log of one partition alone. Pure.

Only what every reading of the log gives again is used: offsets, and the brokers' time of clicks. So
a second reading after a crash finds the same sessions, and their jobs have the same ids.
"""

from __future__ import annotations

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
    """Those of one partition, fed in the order of offsets."""

    def __init__(self) -> None:
        self._open: dict[str, Session] = {}
        self._ended: list[Session] = []
        """Ended ones that may still reach over the place from which to read again."""
        self._next = 0

    def click(self, user: str, offset: int, at_ms: int) -> list[Session]:
        """Take one click; returns the sessions that it shows to have ended, the user's own first.

        Time goes on for all users with each click of any: brokers stamp a partition in order.
        """
        self._next = offset + 1
        mine = self._open.get(user)
        if mine is not None and mine.takes(at_ms):
            mine.last, mine.ended_ms, mine.clicks = offset, at_ms, mine.clicks + 1
            return self._over(at_ms)
        own = [self._end(user)] if mine is not None else []
        self._open[user] = Session(user, offset, offset, at_ms, at_ms)
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
        return [
            self._end(user) for user, each in list(self._open.items()) if not each.takes(now_ms)
        ]

    @property
    def position(self) -> int:
        """Where to read on after a crash: each session lies before it or behind it, none across.

        A session that was cut in two here would be found as another one, with another id.
        """
        at = min((each.first for each in self._open.values()), default=self._next)
        for each in sorted(self._ended, key=lambda session: -session.last):
            if each.first < at <= each.last:
                at = each.first
        self._ended = [each for each in self._ended if each.last >= at]
        return at

    def _end(self, user: str) -> Session:
        ended = self._open.pop(user)
        self._ended.append(ended)
        return ended
