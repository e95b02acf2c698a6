"""The note of a hand-over: clean only as the last owner's word; suspicion outlives its owner."""

from __future__ import annotations

import pytest

from jobstream_processors.handover import clean_note, left_suspect


def test_owner_that_was_through_leaves_no_suspects() -> None:
    note = clean_note(7, position=100, suspect_before=100)

    assert left_suspect(note, 7) == 0


def test_owner_that_was_not_through_leaves_the_rest_suspect() -> None:
    note = clean_note(7, position=99, suspect_before=100)

    assert left_suspect(note, 7) == 100


def test_note_of_an_older_owner_counts_for_nothing() -> None:
    note = clean_note(7, position=100, suspect_before=0)

    assert left_suspect(note, 8) is None


def test_any_clean_note_counts_where_no_claim_is_known() -> None:
    note = clean_note(7, position=5, suspect_before=9)

    assert left_suspect(note, None) == 9


@pytest.mark.parametrize(
    "note",
    ["", "clean", "clean:", "clean:x", "clean:7:x", "clean:-7", "dirty:7", "7", "clean:7:8:9"],
)
def test_anything_else_is_not_clean(note: str) -> None:
    assert left_suspect(note, 7) is None
    assert left_suspect(note, None) is None
