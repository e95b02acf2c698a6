"""Files of dead letters: every bad line is named with its number, and nothing is half done."""

from __future__ import annotations

import base64
import json
from io import StringIO
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.operate.test_letters import QUEUE, Refusing

from jobstream.operate.errors import BadLines
from jobstream.operate.letter_file import BYTES_MAX, LINE_CHARS_MAX, bounded, import_lines

if TYPE_CHECKING:
    from collections.abc import Iterable

    from jobstream.operate.letter_file import Imported

VIEW: Any = SimpleNamespace(app="shop", queues=lambda: [QUEUE])


def text(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def line(**changes: object) -> str:
    fields = {
        "jobstream_letter": 1,
        "app": "shop",
        "queue": "mail",
        "partition": 3,
        "key": text(b"j-1:0"),
        "value": text(b"\xc3\x01bytes"),
        "headers": [["js-reason", text(b"permanent")]],
    }
    return json.dumps(fields | changes)


def imported(sink: Refusing, lines: Iterable[str], **options: bool) -> Imported:
    return import_lines(VIEW, sink, lines, set, **options)


def test_a_letter_comes_back_byte_for_byte_once() -> None:
    sink = Refusing()

    done = imported(sink, [line(), "", line(), line(key=text(b"j-2:1"))])

    assert (done.written, done.there, done.bad) == (2, 1, [])
    first = sink.sent[0]
    assert (first.topic, first.key, first.value) == ("dead", b"j-1:0", b"\xc3\x01bytes")
    assert (first.partition, first.headers) == (3, [("js-reason", b"permanent")])


def test_an_open_letter_is_left_as_it_is() -> None:
    sink = Refusing()

    done = import_lines(VIEW, sink, [line()], lambda: {("mail", 3, b"j-1:0")})

    assert (done.written, done.there, sink.sent) == (0, 1, [])


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        ("{", "no JSON"),
        ("[" * 100_000, "no JSON"),
        ("[]", "no letter of `dlq export`"),
        (line(jobstream_letter=2), "no letter of `dlq export`"),
        (line(app="mall"), "of app 'mall', not of 'shop'"),
        (line(queue="nail"), "no queue 'nail'"),
        (line(queue=["mail"]), "no queue"),
        (line(partition=4), "partition 4 is not from 0 to 3"),
        (line(partition=True), "partition True"),
        (line(key=text(b"j-1")), "not <id>:<redrive>"),
        (line(key="?"), "key is no base64"),
        (line(value=None), "value is no base64"),
        (line(value=text(b"x" * (BYTES_MAX + 1))), "at most 1048576"),
        (line(headers={}), "headers are no list"),
        (line(headers=[["a", "b", "c"]]), "not [name, base64]"),
        (line(headers=[["js-reason", "\u20ac"]]), "is no base64"),
        (line(headers=[["\ud800", text(b"v")]]), "the name of header '\\ud800' is no UTF-8"),
        (" " * 9 + "x" * LINE_CHARS_MAX, "characters; at most"),
    ],
    ids=lambda each: each[:30],
)
def test_a_bad_line_is_named_and_nothing_is_written(bad: str, why: str) -> None:
    sink = Refusing()

    with pytest.raises(BadLines) as refused:
        imported(sink, [line(), bad])

    assert "nothing was written" in str(refused.value)
    assert "line 2: " in str(refused.value)
    assert why in str(refused.value)
    assert sink.sent == []
    done = imported(sink, [line(), bad], skip_bad=True)
    assert (done.written, [each.number for each in done.bad]) == (1, [2])


def test_a_line_without_an_end_fills_no_memory_and_keeps_the_numbers() -> None:
    file = StringIO(line() + "\n" + "x" * (2 * LINE_CHARS_MAX + 99) + "\n" + "{\n")

    lines = list(bounded(file))

    assert [len(each) for each in lines[1:]] == [LINE_CHARS_MAX + 2, 2]
    done = imported(Refusing(), lines, skip_bad=True)
    assert (done.written, [each.number for each in done.bad]) == (1, [2, 3])


@given(st.text())
def test_no_line_makes_another_error(odd: str) -> None:
    imported(Refusing(), [odd.replace("\n", " ")], skip_bad=True)


def test_what_is_not_acknowledged_is_named() -> None:
    sink = Refusing(("dead", b"j-1:0"))

    done = imported(sink, [line(), line(key=text(b"j-2:1"))])

    assert (done.written, [name for name, _ in done.failed]) == (1, ["j-1:0"])
