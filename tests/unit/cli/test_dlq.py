"""What `jobstream dlq` prints of letters that somebody forged, or that nobody can read."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Annotated, Any

import pytest

from jobstream.cli import dlq_close
from jobstream.cli.commands import dlq
from jobstream.cli.letter_summary import summary
from jobstream.cli.letter_text import contents, text
from jobstream.cli.output import iso, when
from jobstream.operate.open_letters import Letter, Original
from jobstream_processors.core.headers import Carried
from jobstream_schemas import Catalogue, JobCodec, Meta, Secret

FORGED: Any = SimpleNamespace(
    id="\x1b]0;owned\x07", redrive=0, job_type="", carried=SimpleNamespace(reason="\x1b[2J")
)


@dataclass(frozen=True)
class Login:
    user: str
    password: Annotated[str, Secret]


@dataclass(frozen=True)
class Plain:
    user: str


def event(args_class: type[Any], args: object) -> tuple[JobCodec[Any], bytes]:
    codec = JobCodec(args_class, "login")
    return codec, codec.encode(Meta("id-1", 1_790_000_000_000, "shop"), args)


@pytest.mark.parametrize("dump", [True, False])
def test_bytes_of_an_unknown_schema_are_shown_only_when_asked(*, dump: bool) -> None:
    codec, value = event(Login, Login("ann", "hunter2"))

    told = contents(Catalogue(), Original(b"k", value, []), dump=dump)

    assert told["value_bytes"] == len(value)
    assert told["schema"] == codec.schema.fingerprint.hex()
    assert "is not known" in told["unreadable"]
    assert ("hunter2" in text(told)) is dump
    assert dump or "--bytes" in told["bytes"]


@pytest.mark.parametrize(
    ("known", "dumped"), [(Login("ann", "hunter2"), False), (Plain("ann"), True)]
)
def test_damaged_bytes_are_never_shown_of_a_type_with_secrets(
    known: object, *, dumped: bool
) -> None:
    codec, value = event(type(known), known)
    catalogue = Catalogue()
    catalogue.register(codec.schema.json)
    damaged = Original(None, value + b"left over", [])

    assert "hex" not in contents(catalogue, damaged, dump=False)
    assert ("hex" in contents(catalogue, damaged, dump=True)) is dumped


def test_a_traceback_is_printed_as_python_prints_it_and_drives_no_terminal() -> None:
    trace = "Traceback …\n  File …\n    raise ValueError(text)\nValueError: \x1b[31m\x9b2J\u202e\n"

    shown = text({"id": "j-1", "traceback": trace, "headers": {"js-error": "E"}})

    assert "\ntraceback:\nTraceback …\n  File …\n    raise ValueError(text)\nValueError: " in shown
    assert "\\x1b[31m\\x9b2J\\u202e\nheaders: " in shown
    assert not set(shown) & set("\x1b\x9b\u202e")


def test_a_person_reads_the_moments_of_a_letter_in_local_time() -> None:
    codec, value = event(Plain, Plain("ann"))
    catalogue = Catalogue()
    catalogue.register(codec.schema.json)
    letter = Letter("mail", "j-1", 0, "send", Carried(), 7_000, ("dead", 0, 0), b"j-1:0")
    told = summary(letter) | contents(catalogue, Original(None, value, []), dump=False)
    told["args"] = {"died_at": told["died_at"]}

    shown = text(told)

    assert f"died_at: {when(7_000)}\n" in shown
    assert f'"enqueued_at": "{when(1_790_000_000_000)}"' in shown
    assert f'"died_at": "{iso(7_000)}"' in shown, "args are the job's own"
    assert "first_failed_at" not in shown


@pytest.mark.parametrize(
    ("error", "frame", "told"),
    [
        ("builtins.OSError", "shop.py:7 in send", "builtins.OSError at shop.py:7 in send"),
        ("jobstream.Crashed", "", "jobstream.Crashed"),
        ("", "shop.py:7 in send", "shop.py:7 in send"),
    ],
)
def test_a_row_of_the_list_tells_error_and_place_in_one_column(
    error: str, frame: str, told: str
) -> None:
    carried = Carried(reason="permanent", error=error, frame=frame)
    letter = Letter("mail", "j-1", 0, "send", carried, 0, ("dead", 0, 0), b"j-1:0")

    row = dict(zip(dlq.COLUMNS, vars(dlq)["_row"](letter, 0), strict=True))

    assert row["error"] == told
    assert summary(letter)["frame"] == frame


def test_no_letter_drives_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    say: Any = vars(dlq_close)
    say["_would"]("discard", [FORGED], as_json=False)
    closed = [SimpleNamespace(outcome="discarded", letter=FORGED, reason="\x1b[31m")]
    say["_report"]("discarding", closed, len(closed), as_json=False)

    printed = capsys.readouterr()
    assert "owned" in printed.out
    assert "\x1b" not in printed.out + printed.err
