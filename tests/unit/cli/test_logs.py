"""Log lines show every field of a record, in both forms, and never an escape sequence."""

from __future__ import annotations

import contextvars
import json
import logging
import pickle
import re
import sys
import threading
import warnings
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Annotated

import pytest
import structlog

from jobstream import Secret
from jobstream.cli.log_lines import renderer
from jobstream.cli.log_output import Lines, configure, configure_process
from jobstream.cli.output import age, print_table
from jobstream.cli.printable import one_line, printable
from jobstream_processors.context import RunFacts
from jobstream_processors.current import name_job

if TYPE_CHECKING:
    from collections.abc import Iterator

PLAIN = renderer("plain", colours=False)
JSON = renderer("json", colours=False)


def record(message: str, **extra: object) -> logging.LogRecord:
    return logging.getLogger("jobstream.worker").makeRecord(
        "jobstream.worker", logging.WARNING, "f", 1, message, (), None, extra=extra
    )


def test_a_plain_line_has_every_extra_field() -> None:
    line = PLAIN.format(
        record("takeover_unclean", partition=("shop.mail", 3), in_a_row=1, reason="two words")
    )

    assert line[13:] == (
        "WARNING jobstream.worker takeover_unclean partition=shop.mail/3 in_a_row=1 "
        'reason="two words"'
    )


def test_the_copy_of_a_message_that_uvicorn_colours_is_left_out() -> None:
    told = record("Started server process [%d]", color_message="Started \x1b[36m%d\x1b[0m")

    assert "color" not in PLAIN.format(told)
    assert "color_message" not in json.loads(JSON.format(told))


def test_a_json_line_has_topic_and_partition_as_lines_of_a_job_have() -> None:
    line = json.loads(JSON.format(record("flood_guard_closed", partition=("shop.mail", 3))))

    assert (line["topic"], line["partition"]) == ("shop.mail", 3)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ({"shop.mail": [*range(12)]}, '"shop.mail 0-11"'),
        ({"shop.bulk": [3], "shop.mail": [0, 2, 3, 7]}, '"shop.bulk 3, shop.mail 0 2-3 7"'),
        ({"claim": 0.5, "restore": 1}, '"claim 0.5, restore 1"'),
        ({"flags": [True, False]}, '"flags [True, False]"'),
        (["mail"], "mail"),
        (["mail", "bulk"], '"mail, bulk"'),
    ],
)
def test_plain_lines_tell_partitions_as_ranges_and_json_as_numbers(
    value: object, shown: str
) -> None:
    made = record("event", value=value)

    assert PLAIN.format(made).endswith(f" event value={shown}")
    assert json.loads(JSON.format(made))["value"] == value


def test_a_json_line_is_one_object_with_every_extra_field() -> None:
    line = JSON.format(record("job_dead", job_id="j-1", level="own", at=object))

    told = json.loads(line)
    assert "\n" not in line
    assert told["event"] == "job_dead"
    assert told["job_id"] == "j-1"
    assert told["level"] == "warning"
    assert told["level_"] == "own"
    assert "object" in told["at"]


def test_a_traceback_is_told_in_both_forms() -> None:
    try:
        raise ValueError("bad")  # noqa: EM101, TRY301 - its text is looked for
    except ValueError as error:
        failed = record("job_failed")
        failed.exc_info = (type(error), error, error.__traceback__)

    assert "ValueError: bad" in PLAIN.format(failed)
    assert "ValueError: bad" in json.loads(JSON.format(failed))["exception"]


def test_a_traceback_that_is_text_already_is_told_in_both_forms() -> None:
    failed = record("job_failed", frame="shop.py:7 in send")
    failed.exc_text = "Traceback …\n  File …\nValueError: bad"

    line, *below = PLAIN.format(failed).splitlines()
    told = json.loads(JSON.format(failed))
    assert line.endswith('job_failed frame="shop.py:7 in send"')
    assert below == failed.exc_text.splitlines()
    assert told["exception"] == failed.exc_text
    assert PLAIN.format(record("job_failed")).count("\n") == 0


@pytest.mark.parametrize("hostile", ["\x1b[2J", "\x9b31m", "\x07", "\r", "\u202e", "\x00"])
def test_no_traceback_can_drive_a_terminal(hostile: str) -> None:
    failed = record("job_failed")
    failed.name = f"shop{hostile}"
    failed.exc_text = f"Traceback …\nValueError: {hostile} bad"
    failed.stack_info = f"Stack …\n{hostile} here"

    shown = PLAIN.format(failed)

    assert hostile not in shown
    assert shown.count(hostile.encode("unicode_escape").decode()) == 3
    assert shown.count("\n") >= 3


@pytest.mark.parametrize("value", ["a\x1b[31mb", "a\nb", "", 'a"b', "a=b", "\u202ereversed"])
def test_no_value_can_break_a_plain_line(value: str) -> None:
    line = PLAIN.format(record("event", value=value))

    assert "\n" not in line
    assert "\x1b" not in line
    assert "\u202e" not in line
    assert line.partition("value=")[2].startswith('"')


def test_configure_replaces_the_handler_and_keeps_its_form() -> None:
    with process_log():
        configure("json", "error")
        configure("plain", "info")

        (lines,) = [handler.formatter for handler in logging.getLogger().handlers]
        assert isinstance(lines, Lines)
        assert lines.form == "plain"
        assert logging.getLogger().level == logging.INFO


def test_text_from_outside_is_harmless() -> None:
    assert printable("\x1b[2J\u202ex\tä\n") == "\\x1b[2J\\u202ex\tä\n"
    assert one_line("a\n  b" + "c" * 300, 10) == "a bcccccc…"


def test_a_piped_table_is_whole_and_harmless(capsys: pytest.CaptureFixture[str]) -> None:
    long = "x" * 20_000
    rows = [("mail", 7, "short"), (long, 12, "two\nlines \x1b[2J" + long), ("日本", 3, "")]

    print_table(("queue", "lag>", "why"), rows, "title")

    title, head, first, second, third = capsys.readouterr().out.splitlines()
    assert title == "title"
    assert head.split() == ["queue", "lag", "why"]
    assert first.split() == ["mail", "7", "short"]
    assert second == f"{long}   12  two lines \\x1b[2J{long}"
    assert head.index("lag") + 3 == first.index("7") + 1 == third.index("3") + 1 + 2
    assert len(first) < 300, "no line is padded to the longest cell of another"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.25, "0.2s"), (42, "42s"), (119, "119s"), (120, "2m"), (7_200, "2h"), (172_800, "2d")],
)
def test_ages_are_short(seconds: float, text: str) -> None:
    assert age(seconds) == text


@contextmanager
def process_log() -> Iterator[Lines]:
    """The log of this process set up as a worker's, and everything put back afterwards."""
    root = logging.getLogger()
    kept, level, hook = root.handlers[:], root.level, threading.excepthook
    configure_process("json", "info")
    try:
        (lines,) = [handler.formatter for handler in root.handlers]
        assert isinstance(lines, Lines)
        yield lines
    finally:
        logging.captureWarnings(capture=False)
        structlog.reset_defaults()
        threading.excepthook = hook
        root.handlers[:] = kept
        root.setLevel(level)


def told(capsys: pytest.CaptureFixture[str]) -> dict[str, object]:
    (line,) = capsys.readouterr().err.splitlines()
    found: dict[str, object] = json.loads(line)
    return found


def test_structlog_of_user_code_writes_the_same_lines(capsys: pytest.CaptureFixture[str]) -> None:
    with process_log():
        structlog.get_logger("shop.mail").bind(customer=7).info("sent", to="ann")
        structlog.get_logger("shop.mail").debug("below the level")

    line = told(capsys)
    assert (line["logger"], line["level"], line["event"]) == ("shop.mail", "info", "sent")
    assert (line["customer"], line["to"]) == (7, "ann")
    assert set(line) >= {"time", "pid"}


def test_a_thread_that_dies_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    thread = threading.Thread(target=lambda: 1 / 0, name="reader")
    with process_log():
        thread.start()
        thread.join()

    line = told(capsys)
    assert (line["event"], line["in_thread"]) == ("thread_died", "reader")
    assert "ZeroDivisionError" in str(line["exception"])


def test_a_warning_of_python_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with process_log():
        warnings.showwarning("old", DeprecationWarning, "shop.py", 3)

    assert "DeprecationWarning: old" in str(told(capsys)["event"])


def test_a_log_can_be_set_up_in_another_process_as_here() -> None:
    with process_log() as lines:
        again = pickle.loads(pickle.dumps(lines.again))  # noqa: S301 - of this very line

    assert again.func is configure_process
    assert again.args == ("json", "info")


def test_a_line_in_a_job_has_its_fields_and_its_own_extras_win() -> None:
    source = ("shop.mail", 2, 41)
    facts = RunFacts("j-1", "send", "mail", 1, 0, 3, 0, 0, 0, None, source)

    def line() -> dict[str, object]:
        name_job(facts)
        found: dict[str, object] = json.loads(JSON.format(record("sent", attempt="own")))
        return found

    found = contextvars.copy_context().run(line)

    assert list(found)[5:] == [*facts.fields()]
    assert found["attempt"] == "own"
    assert found["correlation_id"] == found["job_id"] == "j-1"
    assert not json.loads(JSON.format(record("later"))).keys() & {"job_id", "job", "offset"}


@dataclass(frozen=True)
class Login:
    user: str
    password: Annotated[str, Secret]


@dataclass(frozen=True)
class Odd:
    cents: Annotated[int, Secret]

    def __repr__(self) -> str:
        return f"{self.cents / 100:.2f}"


@dataclass
class Unresolved:
    name: Nowhere  # type: ignore[name-defined]  # noqa: F821 - as what is imported for types alone


CANARY = "hunter2-canary"
LOGIN = Login("ann", CANARY)
MASKED = "Login(user='ann', password=***)"


@pytest.mark.parametrize(
    ("message", "args", "shown"),
    [
        ("trying %s", (LOGIN,), f"trying {MASKED}"),
        ("trying %r", (LOGIN,), f"trying {MASKED}"),
        ("trying %s", ([LOGIN, 1],), f"trying [{MASKED}, 1]"),
        ("trying %(who)s", ({"who": LOGIN},), f"trying {MASKED}"),
        ("%s of %d", (Odd(4711), 7), "<Odd cannot be shown: TypeError> of 7"),
        ("%s", (Unresolved("shown"),), "Unresolved(name='shown')"),
    ],
)
def test_args_of_a_job_in_a_message_are_shown_without_their_secrets(
    message: str, args: tuple[object, ...], shown: str
) -> None:
    made = logging.getLogger("shop").makeRecord("shop", logging.INFO, "f", 1, message, args, None)

    line = json.loads(JSON.format(made))

    assert line["event"] == shown
    assert made.args == (args[0] if isinstance(args[0], dict) else args), "others may read it, too"


def test_args_of_a_job_in_extras_are_shown_without_their_secrets() -> None:
    line = json.loads(JSON.format(record("trying", args_=LOGIN, more={"all": [LOGIN]})))

    assert (line["args_"], line["more"]) == (MASKED, {"all": [MASKED]})


def test_structlog_shows_args_of_a_job_without_their_secrets(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with process_log():
        structlog.get_logger("shop").info("trying %s", LOGIN, args=LOGIN)

    line = told(capsys)
    assert (line["event"], line["args"]) == (f"trying {MASKED}", MASKED)


def test_in_a_job_extras_called_like_its_secret_fields_are_masked() -> None:
    marks = frozenset({("Login", "password")})
    facts = RunFacts("j-1", "login", "mail", 1, 0, 3, 0, 0, 0, None, ("shop.mail", 2, 41), marks)
    made = record("sent", user="ann", password=CANARY, form={"password": CANARY, "n": 1})

    def line() -> dict[str, object]:
        name_job(facts)
        found: dict[str, object] = json.loads(JSON.format(made))
        return found

    inside, outside = contextvars.copy_context().run(line), json.loads(JSON.format(made))

    assert (inside["user"], inside["password"]) == ("ann", "***")
    assert inside["form"] == {"password": "***", "n": 1}
    assert outside["password"] == CANARY, "the name alone says nothing outside of the job"


def test_an_active_span_is_named_where_somebody_traces(monkeypatch: pytest.MonkeyPatch) -> None:
    context = SimpleNamespace(is_valid=True, trace_id=0xABC, span_id=0x12)
    span = SimpleNamespace(get_span_context=lambda: context)
    api = SimpleNamespace(get_current_span=lambda: span)
    monkeypatch.setitem(sys.modules, "opentelemetry.trace", api)

    line = json.loads(JSON.format(record("sent")))
    context.is_valid = False
    without = json.loads(JSON.format(record("sent")))

    assert line["trace_id"] == "0" * 29 + "abc"
    assert line["span_id"] == "0" * 14 + "12"
    assert "trace_id" not in without


def test_a_terminal_gets_colours_around_the_same_text() -> None:
    made = record("job_dead", job_id="j-1")
    coloured = renderer("plain", colours=True).format(made)

    assert "\x1b[33mWARNING\x1b[0m" in coloured
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) == PLAIN.format(made)


class Unshowable:
    def __str__(self) -> str:
        raise ValueError


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (float("nan"), "nan"),
        ({("a", 1): {2}}, {"('a', 1)": [2]}),
        (Unshowable(), "<Unshowable cannot be shown: ValueError>"),
        (Path("folder"), "folder"),
    ],
)
def test_any_value_becomes_one_that_json_has(value: object, shown: object) -> None:
    assert json.loads(JSON.format(record("event", value=value)))["value"] == shown


def test_a_value_that_contains_itself_ends() -> None:
    loop: list[object] = []
    loop.append(loop)

    assert json.loads(JSON.format(record("event", value=loop)))
