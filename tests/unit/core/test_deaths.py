"""The flood guard, by example."""

from __future__ import annotations

from jobstream_processors.core.deaths import PAUSE_MS_FIRST, PAUSE_MS_MAX, FloodGuard


def closed(limit: int = 2) -> FloodGuard:
    guard = FloodGuard(limit)
    for _ in range(limit):
        guard.died(0)
    return guard


def test_pause_doubles_with_every_probe_that_dies() -> None:
    guard, now_ms, pauses = closed(), 0, [PAUSE_MS_FIRST]
    for _ in range(8):
        assert guard.until_ms is not None
        now_ms = guard.until_ms
        assert guard.may_probe(now_ms)
        assert guard.died(now_ms)
        pauses.append(guard.until_ms - now_ms)

    assert pauses == [min(PAUSE_MS_FIRST * 2**n, PAUSE_MS_MAX) for n in range(9)]


def test_straggler_that_dies_while_held_changes_nothing() -> None:
    guard = closed()

    assert not guard.died(1)
    assert guard.until_ms == PAUSE_MS_FIRST


def test_probe_that_lives_opens_and_forgets() -> None:
    guard = closed()
    assert guard.may_probe(PAUSE_MS_FIRST)

    assert guard.lived()
    assert guard.is_open
    assert not guard.died(0), "the count began anew"
