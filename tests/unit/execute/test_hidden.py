"""Secret values are taken out of texts in whatever form they are written, and only they."""

from __future__ import annotations

import base64
import json
from datetime import UTC, date, datetime
from decimal import Decimal
from urllib.parse import quote_plus
from uuid import UUID

import pytest

from jobstream_processors.core.outcome import Dead, Raised, Snooze
from jobstream_processors.execute.user_errors import ERROR_TEXT_MAX, read
from jobstream_processors.hidden import Hidden

CANARY = "hunter2-canary"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (CANARY, CANARY),
        ("a'b\"c\n\x00d", repr("a'b\"c\n\x00d")),
        ("a'b\"c\n\x00d", json.dumps("a'b\"c\n\x00d")),
        ("grüße", json.dumps("grüße")),
        ("p ss/wörd&", f"https://shop?p={quote_plus('p ss/wörd&')}"),
        (b"raw-bytes\xff", repr(b"raw-bytes\xff")),
        (b"raw-bytes\xff", base64.b64encode(b"raw-bytes\xff").decode()),
        (b"raw-bytes", "raw-bytes"),
        (123456, "pin 123456!"),
        (Decimal("12.3456"), repr(Decimal("12.3456"))),
        (UUID(int=7), UUID(int=7).hex),
        (date(2000, 2, 29), repr({"born": date(2000, 2, 29)})),
        (datetime(2000, 2, 29, 12, tzinfo=UTC), "2000-02-29T12:00:00+00:00"),
    ],
)
def test_a_value_is_found_in_each_of_its_forms(value: object, text: str) -> None:
    cleaned = Hidden([value]).clean(f"before {text} after")

    assert "***" in cleaned
    assert cleaned.startswith("before ")
    assert cleaned.endswith(" after")
    assert not any(form in cleaned for form in Hidden([value]).forms)


def test_the_longest_goes_first_so_that_no_rest_of_it_stays() -> None:
    assert Hidden(["abcd", "abcdefgh"]).clean("x abcdefgh abcd") == "x *** ***"


@pytest.mark.parametrize("value", ["", "abc", 12, True, False])
def test_what_would_be_found_everywhere_is_not_looked_for(value: object) -> None:
    assert Hidden([value]).clean(f"abc 12 True False {value}") == f"abc 12 True False {value}"


def test_a_secret_at_the_cut_of_a_text_leaves_no_half() -> None:
    hidden = Hidden([CANARY])
    error = ValueError("x" * (ERROR_TEXT_MAX - 5) + CANARY)
    outcome = read(error, hidden.clean)

    assert isinstance(outcome, Raised)
    assert CANARY[:4] not in outcome.message
    assert CANARY[:4] not in outcome.spot.traceback


@pytest.mark.parametrize("raised", [Dead(CANARY), Snooze("5s", CANARY), ValueError(CANARY)])
def test_no_outcome_tells_it(raised: BaseException) -> None:
    assert CANARY not in str(read(raised, Hidden([CANARY]).clean))


def test_chained_and_grouped_errors_tell_it_neither() -> None:
    def fails() -> None:
        try:
            raise KeyError(CANARY)  # noqa: TRY301 - it is to be chained
        except KeyError as error:
            error.add_note(f"with {CANARY}")
            message = "several"
            raise ExceptionGroup(message, [OSError(CANARY)]) from error

    with pytest.raises(ExceptionGroup) as caught:
        fails()
    outcome = read(caught.value, Hidden([CANARY]).clean)

    assert isinstance(outcome, Raised)
    assert CANARY not in str(outcome)
    assert "with ***" in outcome.spot.traceback
    assert "OSError: ***" in outcome.spot.traceback
