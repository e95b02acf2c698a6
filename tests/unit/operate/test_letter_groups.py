"""Open dead letters by cause, and what a filter by fingerprint stands for."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from tests.unit.operate.letters import letter

from jobstream.operate.errors import NotThere
from jobstream.operate.filters import LetterFilter
from jobstream.operate.letter_groups import groups_of
from jobstream.operate.name_check import whole_fingerprints
from jobstream_processors.core.fingerprint import cause_of

if TYPE_CHECKING:
    from jobstream.operate.open_letters import Letter


def died(number: int, message: str, at_ms: int, release: str = "") -> Letter:
    made = letter(f"j-{number}")
    carried = replace(made.carried, reason="permanent", message=message)
    return replace(
        made,
        carried=carried,
        died_ms=at_ms,
        release=release,
        fingerprint=cause_of(made.job_type, carried).fingerprint,
    )


def test_letters_of_a_cause_are_one_group_with_its_newest_as_sample() -> None:
    gone = [died(n, f"no order {n}", 1_000 + n, "2" if n else "1") for n in range(4)]
    other = died(9, "no address", 500)

    groups = groups_of([gone[2], other, gone[0], gone[3], gone[1]])

    assert [(g.count, g.pattern) for g in groups] == [(4, "no order *"), (1, "no address")]
    first = groups[0]
    assert (first.first_ms, first.last_ms, first.sample) == (1_000, 1_003, "j-3")
    assert (first.job_type, first.error) == ("send_receipt", "shop.errors.Refused")
    assert first.place == "shop:send"
    assert first.releases == {"2": 3, "1": 1}
    assert (first.share("2"), first.share("3")) == (0.75, 0)
    assert groups[1].releases == {"": 1}


def test_a_fingerprint_in_the_letter_wins_over_computing() -> None:
    mine = replace(died(1, "no order 1", 1), fingerprint="0" * 12)

    assert [group.fingerprint for group in groups_of([mine])] == ["0" * 12]


def test_a_filter_takes_the_beginning_of_a_fingerprint() -> None:
    letters = [replace(letter(f"j-{at}"), fingerprint=f"abc{at}" + "0" * 8) for at in range(3)]

    def whole(given: str) -> tuple[str, ...]:
        return whole_fingerprints(LetterFilter(fingerprints=(given,)), letters).fingerprints

    assert whole("abc1") == ("abc100000000",)
    assert [each.id for each in letters if LetterFilter(fingerprints=whole("abc1")).passes(each)]
    assert whole("f" * 12) == ("f" * 12,), "the last letter of a cause may have just been closed"
    for wrong in ("abc", "zzzz", "abc4", "", "ABC1"):
        with pytest.raises(NotThere, match="no cause"):
            whole(wrong)
    letters.append(replace(letter("j-9"), fingerprint="abc19" + "0" * 7))
    with pytest.raises(NotThere, match="2 causes begin with 'abc1'"):
        whole("abc1")
