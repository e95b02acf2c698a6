"""Fingerprints of dead letters: one for one cause, whatever its ids; linear in hostile text."""

from __future__ import annotations

import string
import time
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobstream_processors.core.fingerprint import (
    BY_REASON,
    PATTERN_CHARS_MAX,
    cause_of,
    is_fingerprint,
    pattern_of,
    place_of,
)
from jobstream_processors.core.headers import Carried, cut, parse, render
from jobstream_processors.core.letters import (
    FINGERPRINT,
    RELEASE,
    fingerprint_in,
    letter_headers,
    release_in,
)

HEX = "0123456789abcdef"
WORDS = st.text(string.ascii_lowercase, min_size=1, max_size=8)
VARIABLES = st.one_of(
    st.integers().map(str),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.uuids().map(str),
    st.uuids().map(lambda each: each.hex),
    st.text(HEX, min_size=20, max_size=64).filter(lambda text: any(map(str.isdigit, text))),
    st.datetimes().map(lambda each: each.isoformat()),
    st.datetimes().map(str),
    st.dates().map(str),
    st.lists(st.integers(), min_size=1, max_size=9).map(lambda each: str(each)[1:-1]),
    st.text(string.ascii_letters + " .-_", max_size=30).map(repr),
    st.lists(WORDS, min_size=1, max_size=4).map(lambda each: "/" + "/".join(each)),
    st.tuples(WORDS, WORDS).map(lambda each: f"{each[0]}@{each[1]}.example"),
    st.tuples(WORDS, WORDS).map(lambda each: f"https://{each[0]}.example/{each[1]}?q={each[0]}"),
    st.ip_addresses(v=4).map(str),
)
TEMPLATES = (
    "no order {}",
    "order {} of {} is gone",
    "can't read {}: not found",
    "it's late: {} > {}",
    "{} refused",
    "<Order object at {}>",
    "state=({}), next=({})",
    "no order {} ({})",
)
FRAME = "shop/mail.py:7 in send"


def carried(**changes: object) -> Carried:
    fields = {
        "reason": "permanent",
        "error": "builtins.ValueError",
        "frame": FRAME,
        "message": "no order 7",
    }
    return Carried(**(fields | changes))  # type: ignore[arg-type] # a test's shorthand


def fingerprint(job_type: str = "send", **changes: object) -> str:
    return cause_of(job_type, carried(**changes)).fingerprint


@given(st.sampled_from(TEMPLATES), st.lists(VARIABLES, min_size=4, max_size=4))
def test_what_differs_from_job_to_job_is_taken_out(template: str, values: list[str]) -> None:
    one, other = template.format(*values[:2]), template.format(*values[2:])

    assert pattern_of(one) == pattern_of(other)
    assert fingerprint(message=one) == fingerprint(message=other)


@given(st.permutations(TEMPLATES), VARIABLES)
def test_other_words_are_another_cause(templates: list[str], value: str) -> None:
    one, other = (template.format(value, value) for template in templates[:2])

    assert fingerprint(message=one) != fingerprint(message=other)


def test_each_part_of_a_cause_counts() -> None:
    assert (
        len(
            {
                fingerprint(),
                fingerprint("refund"),
                fingerprint(error="builtins.KeyError"),
                fingerprint(error=""),
                fingerprint(frame="shop/mail.py:7 in read"),
                fingerprint(frame="shop/refund.py:7 in send"),
                fingerprint(frame=""),
                fingerprint(message="no invoice 7"),
                fingerprint(message=""),
            }
        )
        == 9
    )


@given(st.integers(1, 99_999), st.integers(1, 8), st.sampled_from(("permanent", "exhausted")))
def test_lines_that_move_attempts_and_the_way_of_dying_do_not_count(
    line: int, attempt: int, reason: str
) -> None:
    moved = fingerprint(frame=f"shop/mail.py:{line} in send", attempt=attempt, reason=reason)

    assert moved == fingerprint()


@pytest.mark.parametrize("reason", sorted(BY_REASON))
def test_without_an_exception_the_reason_is_the_cause(reason: str) -> None:
    one = fingerprint(reason=reason, error="jobstream.Crashed", message="killed by 9", frame="")
    other = fingerprint(reason=reason, error="", message="whatever else", frame="")

    assert one == other
    assert one != fingerprint(reason="another", error="", message="whatever else", frame="")
    assert one != fingerprint("refund", reason=reason)


def test_two_deaths_that_a_handler_declares_are_two_causes() -> None:
    def told(message: str) -> str:
        return fingerprint(reason="dead_by_handler", error="", message=message)

    assert told("order 1 was cancelled") == told("order 2 was cancelled")
    assert told("order 1 was cancelled") != told("order 1 has no address")


@pytest.mark.parametrize(
    ("frame", "place"),
    [
        (FRAME, "shop.mail:send"),
        ("shop/__init__.py:7 in send", "shop:send"),
        ("mail.py:12", "mail"),
        ("<string>:1 in <module>", "<string>:<module>"),
        ("a in b/c.py:7 in d", "a in b.c:d"),
        ("", ""),
    ],
)
def test_a_place_is_a_module_and_a_function(frame: str, place: str) -> None:
    assert place_of(frame) == place


@given(st.text())
def test_any_text_has_a_pattern_on_one_line_and_within_its_bound(text: str) -> None:
    pattern = pattern_of(text)

    assert len(pattern) <= PATTERN_CHARS_MAX
    assert "\n" not in pattern


HOSTILE: tuple[str, ...] = (
    "a",
    "1",
    "'",
    " '",
    "b'",
    "a@",
    "/",
    "*",
    "1,",
    "a1",
    "a://",
    " in ",
    ":1",
    "\\'",
)
HOSTILE += ("1e-1.", "-", "\n", "aaaaaaaa-aaaa-", "0x", "=", "\u0663", "\U0001f600", "\udce9")


@pytest.mark.parametrize("piece", HOSTILE, ids=repr)
def test_time_is_linear_in_hostile_text(piece: str) -> None:
    """Four times the text, by processor time, and far from sixteen times the work."""

    def spent_s(chars: int) -> float:
        text = (piece * chars)[:chars]
        tries = []
        for _ in range(3):
            began = time.process_time()
            pattern_of(text)
            place_of(text)
            tries.append(time.process_time() - began)
        return min(tries)

    assert spent_s(8_000) < 8 * spent_s(2_000) + 0.02


@given(st.text(), st.text(), st.text(), st.text(max_size=200))
def test_a_letter_without_the_header_gets_the_same_when_it_is_read(
    error: str, frame: str, message: str, release: str
) -> None:
    died = carried(error=error, frame=frame, message=message)
    written = dict(letter_headers("send", died, release))

    as_read = parse(render(died))
    assert is_fingerprint(written[FINGERPRINT])
    assert fingerprint_in(written, "send", as_read).encode() == written[FINGERPRINT]
    assert fingerprint_in({}, "send", as_read).encode() == written[FINGERPRINT]
    assert release_in(written) == cut(release, 128).decode()


@given(st.binary(max_size=200))
def test_a_forged_header_is_no_fingerprint(raw: bytes) -> None:
    if not is_fingerprint(raw):
        assert fingerprint_in({FINGERPRINT: raw}, "send", carried()) == fingerprint()
    assert len(release_in({RELEASE: raw})) <= 128


def test_a_type_that_the_writer_does_not_know_is_left_to_the_reader() -> None:
    assert letter_headers(None, carried(), "2026.1") == [(RELEASE, b"2026.1")]


def test_a_hash_is_one_variable_whatever_its_letters() -> None:
    assert pattern_of(f"at {UUID(int=0)}") == pattern_of(f"at {'ab' * 16}0") == "at *"


@given(st.lists(st.integers(1, 9_999), min_size=2, max_size=2))
def test_the_kind_of_an_id_stays(numbers: list[int]) -> None:
    one, other = (f"cus_{number}xYzQ{number} on db{number}" for number in numbers)

    assert pattern_of(one) == pattern_of(other) == "cus_* on db*"
