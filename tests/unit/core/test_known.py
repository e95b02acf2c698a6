"""What rows tell, by example."""

from __future__ import annotations

from jobstream_processors.core.known import OTHER, UNKNOWN, of_row


def test_state_of_a_newer_version_is_an_end_all_the_same() -> None:
    assert of_row("job", "archived", (1, 0, 1)).absorbs(1, 5) == OTHER


def test_deaths_are_counted_per_redrive() -> None:
    found = of_row("crash", "", (1, 0, 2))

    assert (found.crashes_of(0), found.crashes_of(1), found.crashes_of(2)) == (0, 2, 0)


def test_wait_in_place_belongs_to_its_redrive() -> None:
    found = of_row("parked", "", (0, 0, 3), 99).merge(of_row("parked", "", (1, 0, 2), 50))

    assert found.attempt_of(0) is None
    assert found.attempt_of(1) == (2, 50)


def test_nothing_is_known_of_nothing() -> None:
    assert UNKNOWN.absorbs(0, 0) is None
    assert UNKNOWN.attempt_of(0) is None
    assert UNKNOWN.crashes_of(0) == 0
