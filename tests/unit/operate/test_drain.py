"""In how long a backlog is gone, at the rate of the last minute."""

from __future__ import annotations

from jobstream.operate.lag import WINDOW_MS, Drain


def test_one_look_knows_no_rate() -> None:
    assert Drain().take(0, 100) is None


def test_what_shrinks_will_be_gone() -> None:
    drain = Drain()
    drain.take(0, 100)

    assert drain.take(2_000, 80) == 8.0
    assert drain.take(4_000, 50) == 4.0


def test_what_does_not_shrink_never_will() -> None:
    drain = Drain()
    drain.take(0, 100)

    assert drain.take(2_000, 100) is None
    assert drain.take(4_000, 110) is None


def test_nothing_waits() -> None:
    assert Drain().take(0, 0) == 0.0


def test_the_rate_is_that_of_the_last_minute() -> None:
    drain = Drain()
    drain.take(0, 1_000_000)
    drain.take(1_000, 1_000)
    for at in range(1, 60):
        drain.take(1_000 + at * 1_000, 1_000 - at)

    # The first look is a minute old, so its great fall counts no more.
    assert drain.take(1_000 + WINDOW_MS, 940) == 940.0


def test_a_slow_watch_compares_with_the_look_before() -> None:
    drain = Drain()
    drain.take(0, 400)
    drain.take(10 * WINDOW_MS, 300)

    assert drain.take(20 * WINDOW_MS, 200) == 20 * WINDOW_MS / 1000
