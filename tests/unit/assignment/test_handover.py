"""The note of a hand-over: clean only as the last owner's word; suspicion outlives its owner."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from jobstream.testing.memory_group import NOTE_BYTES_MAX
from jobstream_processors.assignment.handover import (
    NOTHING_LEFT,
    clean_note,
    handed,
    left_of,
    ranges_of,
)


def suspect_before(note: str, claim: int | None) -> int | None:
    told = handed(note, 100, claim)
    return told.suspect_before if told is not None else None


def test_owner_that_was_through_leaves_no_suspects() -> None:
    note = clean_note(7, position=100, suspect_before=100)

    assert note == "clean:7"
    assert suspect_before(note, 7) == 0


def test_owner_that_was_not_through_leaves_the_rest_suspect() -> None:
    note = clean_note(7, position=99, suspect_before=100)

    assert suspect_before(note, 7) == 100


def test_note_of_an_older_owner_counts_for_nothing() -> None:
    note = clean_note(7, position=100, suspect_before=0)

    assert suspect_before(note, 8) is None


def test_any_clean_note_counts_where_no_claim_is_known() -> None:
    note = clean_note(7, position=5, suspect_before=9)

    assert suspect_before(note, None) == 9


@pytest.mark.parametrize(
    "note",
    [
        *("", "clean", "clean:", "clean:x", "clean:7:x", "clean:-7", "dirty:7", "7"),
        *("clean:7:8:9", "clean:7::x", "clean:7:::1+1", "clean:7:::1+1!x", "clean:7:8:1+1:1+1!1:0"),
    ],
)
def test_anything_else_is_not_clean(note: str) -> None:
    assert suspect_before(note, 7) is None
    assert suspect_before(note, None) is None


def test_the_next_owner_hears_what_was_not_through() -> None:
    left = left_of([(101, 103)], [(100, 101, 50_001), (107, 108, 9_000)])

    told = handed(clean_note(7, 100, 0, left), 100, 7)

    assert told is not None
    assert [at for at in range(99, 110) if told.left.has_ended(at)] == [101, 102]
    waits = {at: told.left.runs_until_ms(at) for at in range(99, 110)}
    assert {at: until for at, until in waits.items() if until} == {100: 51_000, 107: 9_000}
    assert told.left.before == 108


def test_where_runs_overlap_a_job_waits_for_the_last_of_them() -> None:
    left = left_of([], [(0, 9, 5_000), (5, 6, 3_000), (6, 7, 8_000)])

    assert [left.runs_until_ms(at) for at in (4, 5, 6, 7, 9)] == [5_000, 5_000, 8_000, 5_000, 0]


def test_nothing_left_is_said_in_no_words() -> None:
    told = handed("clean:7", 5, 7)

    assert told is not None
    assert told.left == NOTHING_LEFT


OFFSETS = st.sets(st.integers(1_000_000_000, 1_000_020_000), max_size=600)


@example(ended=set(range(10**9, 10**9 + 1_200, 2)), runs=set(), suspect=0)
@example(ended=set(), runs=set(range(10**9, 10**9 + 1_200, 2)), suspect=0)
@given(ended=OFFSETS, runs=OFFSETS, suspect=st.integers(0, 2_000_000_000))
def test_a_note_fits_and_never_says_too_little(
    ended: set[int], runs: set[int], suspect: int
) -> None:
    ended -= runs
    position = 1_000_000_000
    until = {at: 1_800_000_000_000 + at % 977 for at in runs}
    left = left_of(ranges_of(list(ended)), [(at, at + 1, until[at]) for at in runs])

    note = clean_note(10**12, position, suspect, left)
    told = handed(note, position, 10**12)

    assert told is not None
    assert len(note.encode()) < NOTE_BYTES_MAX
    assert told.suspect_before == (suspect if suspect > position else 0)
    assert all(told.left.runs_until_ms(at) >= until[at] for at in runs)
    assert all(at in ended for at in range(position, told.left.before) if told.left.has_ended(at))
