"""What rows tell, by example."""

from __future__ import annotations

import pytest

from jobstream_processors.core.known import OTHER, UNKNOWN, Parked, of_row


def test_state_of_a_newer_version_is_an_end_all_the_same() -> None:
    assert of_row("job", "archived", (1, 0, 1)).absorbs(1, 5) == OTHER


def test_deaths_are_counted_per_redrive() -> None:
    found = of_row("crash", "", (1, 0, 2))

    assert (found.crashes_of(0), found.crashes_of(1), found.crashes_of(2)) == (0, 2, 0)


def test_wait_in_place_belongs_to_its_redrive() -> None:
    found = of_row("parked", "", (0, 0, 3), 99).merge(of_row("parked", "", (1, 0, 2), 50))

    assert found.parked_at(0, 0) is None
    assert found.parked_at(1, 0) == Parked(2, 50)
    assert found.parked_at(1, 1) is None, "the copy tells where it stands itself"


def test_a_wait_in_place_keeps_its_snoozes_and_its_first_failure() -> None:
    parked = Parked(2, 50, snoozes=7, first_failed_ms=40)

    assert of_row("parked", "", (0, 0, 2), 50, parked.detail).parked_at(0, 0) == parked


@pytest.mark.parametrize("detail", ["", "x", "-1:-2", f"{9:050}:{9:050}", "٣:٣"])
def test_a_detail_that_no_worker_wrote_tells_nothing_more(detail: str) -> None:
    assert of_row("parked", "", (0, 0, 2), 50, detail).parked_at(0, 0) == Parked(2, 50)


def test_nothing_is_known_of_nothing() -> None:
    assert UNKNOWN.absorbs(0, 0) is None
    assert UNKNOWN.parked_at(0, 0) is None
    assert UNKNOWN.crashes_of(0) == 0
