"""A name that nobody knows is told from one that no letter has now; ids may be short."""

from __future__ import annotations

import pytest
from tests.unit.operate.letters import letter

from jobstream.operate.errors import NotThere
from jobstream.operate.filters import LetterFilter
from jobstream.operate.ids import begins_with, is_prefix, only_one
from jobstream.operate.name_check import require_known, whole_ids
from jobstream.operate.near_names import close_first
from jobstream_processors.core.headers import Carried

TYPES = {"send_receipt", "refund"}
FIRST = "0199c7a5-0000-7000-8000-000000000001"
SECOND = "0199c7a5-0000-7000-8000-000000000002"
LETTERS = [
    letter(FIRST, carried=Carried(reason="permanent", error="shop.errors.Refused")),
    letter(SECOND, carried=Carried(reason="permanent", error="builtins.ValueError")),
    letter("order-12", carried=Carried(reason="crashed_worker")),
    letter("@shop.mail:0:17", job_type="", carried=Carried(reason="from_elsewhere")),
]


@pytest.mark.parametrize(
    "wanted",
    [
        LetterFilter(),
        LetterFilter(reason="permanent"),
        LetterFilter(reason="id_conflict"),
        LetterFilter(reason="from_elsewhere"),
        LetterFilter(reason="snooze*"),
        LetterFilter(job_types=("refund", "send_*")),
        LetterFilter(error="Refused"),
        LetterFilter(error="shop.errors.Refused"),
        LetterFilter(error="ConnectionError"),
        LetterFilter(error="httpx.*"),
    ],
    ids=str,
)
def test_what_may_have_letters_another_time_is_no_slip(wanted: LetterFilter) -> None:
    require_known(wanted, LETTERS, TYPES)


@pytest.mark.parametrize(
    ("wanted", "told"),
    [
        (
            LetterFilter(reason="permanen"),
            (
                "no reason 'permanen'; known, with their open letters: "
                "permanent (2), crashed_worker (1), from_elsewhere (1)"
            ),
        ),
        (
            LetterFilter(reason="snoozes_exhaust"),
            "snoozes_exhausted (0), attempts_exhausted (0), p",
        ),
        (LetterFilter(reason="perm_*"), "permanent (2)"),
        (LetterFilter(job_types=("refund", "send_reciept")), "open letters: send_receipt (3)"),
        (LetterFilter(error="Refusd"), "builtins.ValueError (1)"),
        (LetterFilter(error="httpx.ConnectError"), "shop.errors.Refused (1)"),
    ],
    ids=str,
)
def test_a_name_nobody_knows_is_refused_with_those_there_are(
    wanted: LetterFilter, told: str
) -> None:
    with pytest.raises(NotThere) as raised:
        require_known(wanted, LETTERS, TYPES)

    assert told in str(raised.value)


def test_a_slip_is_found_where_no_letter_is_open() -> None:
    require_known(LetterFilter(reason="permanent", error="ValueError"), [], TYPES)

    with pytest.raises(NotThere, match=r"permanent \(0\)"):
        require_known(LetterFilter(reason="permanen"), [], TYPES)
    with pytest.raises(
        NotThere,
        match=r"known, with their open letters: refund \(0\), send_receipt \(0\)",
    ):
        require_known(LetterFilter(job_types=("mail",)), [], TYPES)


def test_a_long_list_is_cut() -> None:
    many = [letter(carried=Carried(error=f"shop.E{n}")) for n in range(30)]

    with pytest.raises(NotThere, match="and 10 more"):
        require_known(LetterFilter(error="nothing"), many, TYPES)


@pytest.mark.parametrize(
    ("given", "whole"),
    [
        (FIRST, FIRST),
        ("order-12", "order-12"),
        ("order-*", "order-*"),
        ("nothing-*", "nothing-*"),
    ],
)
def test_an_id_is_taken_as_it_stands(given: str, whole: str) -> None:
    assert whole_ids(LetterFilter(ids=(given,)), LETTERS).ids == (whole,)


def test_the_beginning_of_a_uuid_is_enough_where_one_job_has_it() -> None:
    found = whole_ids(LetterFilter(ids=("0199", "order-12"), reason="x"), [LETTERS[0], LETTERS[2]])

    assert found == LetterFilter(ids=(FIRST, "order-12"), reason="x")


def test_the_beginning_of_several_names_them() -> None:
    with pytest.raises(NotThere, match=f"2 ids begin with .*: {FIRST}, {SECOND}; give more"):
        whole_ids(LetterFilter(ids=("0199c7a5",)), LETTERS)
    with pytest.raises(NotThere, match=r"11 ids begin with .*, and 1 more; give more"):
        only_one("0199", [f"{n:02}" for n in range(11)])


@pytest.mark.parametrize("given", ["order-1", "@shop.mail:0:1", "019", "0199d", FIRST[:-1] + "9"])
def test_no_other_id_may_be_short(given: str) -> None:
    """`order-1` was redriven an hour ago, and is not `order-12`."""
    with pytest.raises(NotThere, match="no open letter of job"):
        whole_ids(LetterFilter(ids=(given,)), LETTERS)


def test_an_id_with_a_slip_is_told_its_neighbour() -> None:
    with pytest.raises(NotThere, match=f"did you mean .*{FIRST}.*job show"):
        whole_ids(LetterFilter(ids=(FIRST.replace("c7a5", "c7a6"),)), LETTERS)


def test_what_may_be_the_beginning_of_a_uuid() -> None:
    assert is_prefix("0199c7a5-0000-7")
    for other in ("0199c7a50000", "0199c7a5-00-", "order", "019", FIRST, "0199C7A5"):
        assert not is_prefix(other)
    assert begins_with(FIRST, "0199")
    assert not begins_with("0199-order", "0199")


def test_what_looks_alike_comes_first() -> None:
    assert close_first("mai", ["alpha", "mail", "bulk"]) == ["mail", "alpha", "bulk"]
