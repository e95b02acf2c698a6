"""Cron expressions: which moments they name, in a time zone with all its changes of the clock.

cronsim reads an expression and finds matching times of a wall clock that never changes. What a
change of the clock means is decided here. An expression that names hours (`30 2 * * *`) runs at
each named time once: at the first moment after a gap that swallowed it, and in the first of two
hours that are alike. One that names none (`*/5 * * * *`) goes on through both, as time does.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from jobstream_processors.errors import InvalidOption

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import tzinfo

EXPRESSION_CHARS_MAX = 200
_FIELDS = (5, 6)
_HOURS = 24
_DAY_MS = 86_400_000
_SECOND_MS = 1_000
_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - the wall clock's own zero
_FIRST = datetime(2024, 1, 1)  # noqa: DTZ001 - from here on a tick must come within 50 years
LAST_MS = 4_102_444_800_000
"""The year 2100: nothing is due later."""
_TAKES = (
    ("second", "0 to 59"),
    ("minute", "0 to 59"),
    ("hour", "0 to 23"),
    ("day", "1 to 31, or L for the last day of a month"),
    ("month", "1 to 12, or JAN to DEC"),
    ("weekday", "0 to 7 (0 and 7 are Sunday), or SUN to SAT, or MON#1 for the first Monday"),
)
"""What each of six fields is called and takes; the first may be left out."""
FIX = "write five fields, minute hour day month weekday, as in '*/5 * * * *' or '30 2 * * MON-FRI'"


class Cron:
    """The ticks of one expression in one zone. Times are epoch milliseconds, whole seconds."""

    def __init__(self, expression: str, zone: tzinfo) -> None:
        """Raises InvalidOption for an expression that is none, or that never comes true."""
        self._next = _reader_of(expression)
        self._zone = zone
        self._names_hours = _names_hours(expression)

    def next_ms(self, after_ms: int) -> int | None:
        """The first tick later than `after_ms`; None if there is none before the year 2100."""
        at_ms = since_ms = after_ms - after_ms % _SECOND_MS
        # From `since_ms` on the clock has one offset, up to its next change.
        while True:
            offset_ms = self._offset_ms(since_ms)
            local = self._next(_wall(at_ms + offset_ms))
            if local is None:
                return None
            found_ms = _ms(local) - offset_ms
            change_ms = self._change(since_ms, min(found_ms, LAST_MS))
            if change_ms is not None:
                # What matches from there on has another offset.
                if self._names_hours and self._is_swallowed(change_ms):
                    return change_ms
                at_ms, since_ms = change_ms - _SECOND_MS, change_ms
            elif found_ms > LAST_MS:
                return None
            elif self._names_hours and self._is_again(found_ms):
                at_ms = since_ms = found_ms
            else:
                return found_ms

    # -- changes of the clock

    def _offset_ms(self, at_ms: int) -> int:
        moment = datetime.fromtimestamp(at_ms / 1000, UTC).astimezone(self._zone)
        return round((moment.utcoffset() or timedelta()).total_seconds() * 1000)

    def _change(self, after_ms: int, until_ms: int) -> int | None:
        """The first moment in (after_ms, until_ms] with another offset than the one before it."""
        low_ms, offset_ms = after_ms, self._offset_ms(after_ms)
        while low_ms < until_ms:
            high_ms = min(low_ms + _DAY_MS, until_ms)
            if self._offset_ms(high_ms) != offset_ms:
                while high_ms - low_ms > _SECOND_MS:
                    middle_ms = (low_ms + high_ms) // 2 // _SECOND_MS * _SECOND_MS
                    if self._offset_ms(middle_ms) == offset_ms:
                        low_ms = middle_ms
                    else:
                        high_ms = middle_ms
                return high_ms
            low_ms = high_ms
        return None

    def _is_swallowed(self, change_ms: int) -> bool:
        """Whether a named time is among those that the clock left out at this change."""
        before_ms, after_ms = self._offset_ms(change_ms - _SECOND_MS), self._offset_ms(change_ms)
        if after_ms <= before_ms:
            return False
        local = self._next(_wall(change_ms - _SECOND_MS + before_ms))
        return local is not None and _ms(local) <= change_ms + after_ms

    def _is_again(self, at_ms: int) -> bool:
        """Whether the wall clock showed this time before, as it was put back since."""
        return datetime.fromtimestamp(at_ms / 1000, UTC).astimezone(self._zone).fold == 1


def check(expression: object) -> str:
    """`expression` if it is one with a tick; raises InvalidOption, which names it and the fix."""
    if not isinstance(expression, str):
        message = f"cron={expression!r:.100} is not a text: {FIX}"
        raise InvalidOption(message)
    if len(expression) > EXPRESSION_CHARS_MAX:
        message = (
            f"cron={expression[:40]!r}… has {len(expression)} characters, at most are "
            f"{EXPRESSION_CHARS_MAX}: split it into several schedules"
        )
        raise InvalidOption(message)
    if len(expression.split()) not in _FIELDS:
        message = f"cron={expression!r} has {len(expression.split())} fields: {FIX}"
        raise InvalidOption(message)
    if _reader_of(expression)(_FIRST) is None:
        message = f"cron={expression!r} names no day that ever comes: {FIX}"
        raise InvalidOption(message)
    return expression


def _reader_of(expression: str) -> Callable[[datetime], datetime | None]:
    """The next matching time of a wall clock after one; raises InvalidOption."""
    # Not at the top: a service that only enqueues need not have it.
    from cronsim import CronSim, CronSimError  # noqa: PLC0415 - as said

    try:
        simulated = CronSim(expression, _FIRST)
    except CronSimError as error:
        fields = expression.split()
        for place, (name, takes) in enumerate(_TAKES[-len(fields) :]):
            alone = [field if at == place else "*" for at, field in enumerate(fields)]
            try:
                CronSim(" ".join(alone), _FIRST)
            except CronSimError:
                message = (
                    f"cron={expression!r}: the {name} is {fields[place]!r}, but takes {takes}; "
                    "with lists (1,2), ranges (1-5) and steps (*/5)"
                )
                raise InvalidOption(message) from error
        message = f"cron={expression!r} names no day that ever comes: {FIX}"
        raise InvalidOption(message) from error

    def following(wall: datetime) -> datetime | None:
        simulated.dt = wall
        return next(simulated, None)

    return following


def _names_hours(expression: str) -> bool:
    """Whether it names hours of the day, and so times, instead of a distance."""
    *_, hours, _, _, _ = expression.split()
    return not hours.startswith("*") and hours not in {"0-23", f"0-{_HOURS - 1}"}


def _wall(local_ms: int) -> datetime:
    return _EPOCH + timedelta(milliseconds=local_ms)


def _ms(wall: datetime) -> int:
    return round((wall - _EPOCH).total_seconds()) * 1000
