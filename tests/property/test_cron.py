"""Ticks of cron expressions against an oracle that looks at every minute of the wall clock."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo
from functools import cache
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobstream_processors.core.cron import Cron, check
from jobstream_processors.errors import InvalidOption

ZONES = (
    *("Australia/Lord_Howe", "Africa/Cairo", "America/Santiago", "Pacific/Apia", "Europe/Berlin"),
    *("America/New_York", "Africa/Casablanca", "Asia/Tehran", "America/St_Johns", "Asia/Gaza"),
)
FIRST, LAST = datetime(1990, 1, 1, tzinfo=UTC), datetime(2040, 1, 1, tzinfo=UTC)
MINUTE_MS, AROUND_MS = 60_000, 4 * 3_600_000
EXPRESSIONS = {
    "30 2 * * *": (range(30, 31), range(2, 3)),
    "*/15 0-3 * * *": (range(0, 60, 15), range(4)),
    "0 0 * * *": (range(1), range(1)),
    "*/20 * * * *": (range(0, 60, 20), None),
    "45 */2 * * *": (range(45, 46), range(0, 24, 2)),
}
"""With the minutes and hours that they name; the hours of the last two are no names."""
NAMING = {"30 2 * * *", "*/15 0-3 * * *", "0 0 * * *"}
CALLS_MAX = 400
"""Times that the zone is asked for one tick: no change of the clock makes it spin."""


class Counted(tzinfo):
    """A zone that counts how often it is asked."""

    def __init__(self, zone: tzinfo) -> None:
        self.zone = zone
        self.calls = 0

    def utcoffset(self, dt: datetime | None) -> timedelta | None:
        return self.zone.utcoffset(dt)

    def dst(self, dt: datetime | None) -> timedelta | None:
        return self.zone.dst(dt)

    def tzname(self, dt: datetime | None) -> str | None:
        return self.zone.tzname(dt)

    def fromutc(self, dt: datetime) -> datetime:
        self.calls += 1
        return self.zone.fromutc(dt.replace(tzinfo=self.zone)).replace(tzinfo=self)


def moment(at_ms: int, zone: tzinfo = UTC) -> datetime:
    return datetime.fromtimestamp(at_ms / 1000, UTC).astimezone(zone)


def offset_of(at_ms: int, zone: tzinfo) -> timedelta:
    return moment(at_ms, zone).utcoffset() or timedelta()


@cache
def changes(name: str) -> list[int]:
    """The first minute of each new offset in fifty years."""
    zone, found = ZoneInfo(name), []
    day_ms = 86_400_000
    low_ms = round(FIRST.timestamp() * 1000)
    while low_ms < LAST.timestamp() * 1000:
        before, after = low_ms, low_ms + day_ms
        if offset_of(before, zone) != offset_of(after, zone):
            while after - before > MINUTE_MS:
                middle = (before + after) // 2 // MINUTE_MS * MINUTE_MS
                if offset_of(middle, zone) == offset_of(low_ms, zone):
                    before = middle
                else:
                    after = middle
            found.append(after)
        low_ms += day_ms
    return found


def oracle(expression: str, zone: tzinfo, change_ms: int) -> list[int]:
    """Every minute around a change, one by one."""
    minutes, hours = EXPRESSIONS[expression]
    naming = expression in NAMING

    def matches(wall: datetime) -> bool:
        return wall.minute in minutes and (hours is None or wall.hour in hours)

    found, shown = [], set[datetime]()
    for at_ms in range(change_ms - AROUND_MS, change_ms + AROUND_MS, MINUTE_MS):
        wall = moment(at_ms, zone).replace(tzinfo=None, fold=0)
        ticks = matches(wall) and not (naming and wall in shown)
        if naming and at_ms == change_ms:
            gap = moment(at_ms - MINUTE_MS, zone).replace(tzinfo=None, fold=0)
            while (gap := gap + timedelta(minutes=1)) < wall:
                ticks = ticks or matches(gap)
        if ticks:
            found.append(at_ms)
        shown.add(wall)
    return found


@pytest.mark.parametrize("expression", EXPRESSIONS)
@pytest.mark.parametrize("name", ZONES)
def test_fifty_years_of_changes_are_as_the_oracle_has_them(name: str, expression: str) -> None:
    zone = Counted(ZoneInfo(name))
    cron = Cron(expression, zone)

    for change_ms in changes(name):
        at_ms, found = change_ms - AROUND_MS - 1, []
        while True:
            zone.calls = 0
            following = cron.next_ms(at_ms)
            assert zone.calls <= CALLS_MAX, moment(at_ms, zone.zone)
            if following is None or following >= change_ms + AROUND_MS:
                break
            assert following > at_ms
            found.append(following)
            at_ms = following
        told = oracle(expression, zone.zone, change_ms)
        assert found == told, (moment(change_ms, zone.zone), list(map(moment, found)))


def test_zones_do_change() -> None:
    assert all(changes(name) for name in ZONES)


@given(
    st.sampled_from([*EXPRESSIONS, "0 9 * * MON-FRI", "*/7 3,4 1,15 * *", "30 */5 * * * *"]),
    st.sampled_from(ZONES),
    st.integers(round(FIRST.timestamp()), round(LAST.timestamp())),
    st.floats(0, 1, exclude_max=True),
)
def test_the_next_tick_is_the_same_from_anywhere_before_it(
    expression: str, name: str, at_s: int, share: float
) -> None:
    cron, at_ms = Cron(expression, ZoneInfo(name)), at_s * 1000
    following = cron.next_ms(at_ms)

    assert following is not None
    assert following > at_ms
    between = at_ms + int((following - at_ms) * share)
    assert cron.next_ms(min(between, following - 1)) == following


@pytest.mark.parametrize(
    "expression",
    [
        *("", "* * * *", "* * * * * * *", "61 * * * *", "0 25 * * *", "0 0 31 2 *", "a b c d e"),
        *("0 0 30 2 *", "*/0 * * * *", "5-1 * * * *", "0 0 * * MON#6", "0," * 200 + " * * * *"),
        *("0 0 31 4,6,9,11 *", "L * * * *"),
    ],
)
def test_what_never_comes_true_is_refused_with_a_fix(expression: str) -> None:
    with pytest.raises(InvalidOption, match="cron="):
        check(expression)


def test_a_rare_day_is_found_and_costs_little() -> None:
    zone = Counted(ZoneInfo("Europe/Berlin"))
    tick = Cron("0 3 29 2 *", zone).next_ms(round(FIRST.timestamp() * 1000))

    assert tick is not None
    assert moment(tick, zone.zone).date().isoformat() == "1992-02-29"
    assert zone.calls < 1_000
