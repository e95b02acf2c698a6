"""What letters and tombstones tell of the last redrive of a cause."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from tests.unit.operate.letters import letter

from jobstream.operate.failed_redrives import Trials
from jobstream_processors.core.closings import (
    CLOSED,
    FIXED_BY,
    WHO,
    WHY,
    Closing,
    closing_headers,
    closing_in,
)
from jobstream_processors.core.letters import FINGERPRINT

if TYPE_CHECKING:
    from jobstream.operate.open_letters import Letter
    from jobstream_processors.core.headers import Headers

MINE, OTHER = "a" * 12, "b" * 12
PLACE = ("dead", 3)


def died(redrive: int, at_ms: int, mark: str = MINE, job_id: str = "j-1") -> Letter:
    made = letter(job_id, redrive=redrive, died_ms=at_ms)
    return replace(made, fingerprint=mark)


def redriven(mark: str = MINE) -> Closing:
    return Closing("redriven", "ann", "", "", mark)


def test_a_job_that_died_again_of_the_same_cause_is_a_failed_trial() -> None:
    trials = Trials()
    trials.died(died(0, 1), None)
    assert trials.failed(MINE) is None
    trials.closed(PLACE, ("j-1", 0), died(0, 1), redriven(), 2)
    assert trials.failed(MINE) is None
    trials.died(died(1, 3), None)

    failed = trials.failed(MINE)

    assert failed is not None
    assert (failed.job_id, failed.redrive, failed.died_ms) == ("j-1", 1, 3)
    assert trials.failed(OTHER) is None


def test_a_later_redrive_that_did_not_come_back_ends_the_refusal() -> None:
    trials = Trials()
    trials.died(died(1, 3), None)
    trials.closed(PLACE, ("j-2", 0), died(0, 1, job_id="j-2"), redriven(), 4)
    assert trials.failed(MINE) is None
    trials.died(died(1, 5, job_id="j-2"), None)
    assert trials.failed(MINE) is not None


@pytest.mark.parametrize(
    ("closing", "mark"),
    [(redriven(OTHER), MINE), (None, OTHER)],
    ids=["by its tombstone", "by the letter that was closed"],
)
def test_a_job_that_came_from_another_cause_is_no_trial_of_this_one(
    closing: Closing | None, mark: str
) -> None:
    trials = Trials()
    trials.closed(PLACE, ("j-1", 0), died(0, 1, mark), closing, 2)
    trials.died(died(1, 3), None)
    assert trials.failed(MINE) is None


def test_a_letter_that_was_left_open_tells_its_cause_as_well() -> None:
    trials = Trials()
    trials.died(died(1, 3), died(0, 1, OTHER))
    assert trials.failed(MINE) is None
    trials.died(died(1, 3, job_id="j-2"), died(0, 1, job_id="j-2"))
    assert trials.failed(MINE) is not None


def test_a_job_that_is_dead_again_before_its_letter_is_closed_has_failed() -> None:
    """The job's copy is acknowledged first, so that a quick worker comes before the tombstone."""
    trials = Trials()
    trials.died(died(1, 3), died(0, 1))
    trials.closed(PLACE, ("j-1", 0), died(0, 1), redriven(), 4)
    assert trials.failed(MINE) is not None


def test_a_discard_and_a_workers_own_tombstone_are_no_success() -> None:
    trials = Trials()
    trials.died(died(1, 3), None)
    trials.closed(PLACE, ("j-2", 0), died(0, 1), Closing("discarded", "ann"), 9)
    trials.closed(PLACE, ("j-3", 0), died(0, 1), None, 9)
    assert trials.failed(MINE) is not None


def test_a_closing_comes_back_from_its_headers() -> None:
    closing = Closing("fixed", "ann@host", "typing error", "j-9", MINE)

    assert closing_in(closing_headers(closing)) == closing
    assert dict(closing_headers(Closing("redriven"))) == {CLOSED: b"redriven"}


@pytest.mark.parametrize(
    "headers",
    [None, [], [(CLOSED, None)], [(CLOSED, b"eaten")], [(WHY, b"x")], [(CLOSED, b"\xff")]],
    ids=str,
)
def test_headers_that_say_no_way_are_no_closing(headers: Headers | None) -> None:
    assert closing_in(headers) is None


def test_hostile_texts_of_a_closing_are_left_out_or_made_harmless() -> None:
    headers: Headers = [
        (CLOSED, b"discarded"),
        (WHO, b"\xff"),
        (WHY, b"x" * 1_001),
        (FIXED_BY, b""),
        (FINGERPRINT, b"A" * 12),
    ]
    assert closing_in(headers) == Closing("discarded", "\ufffd")
    assert len(dict(closing_headers(Closing("discarded", why="\udce9" * 999)))[WHY]) <= 1_000
