"""Log lines show every field of a record, in both forms, and never an escape sequence."""

from __future__ import annotations

import json
import logging

import pytest

from jobstream.cli.logs import JsonLines, PlainLines, configure
from jobstream.cli.output import age, size
from jobstream.cli.printable import one_line, printable


def record(message: str, **extra: object) -> logging.LogRecord:
    return logging.getLogger("jobstream.worker").makeRecord(
        "jobstream.worker", logging.WARNING, "f", 1, message, (), None, extra=extra
    )


def test_a_plain_line_has_every_extra_field() -> None:
    line = PlainLines().format(
        record("takeover_unclean", partition=("shop.mail", 3), in_a_row=1, reason="two words")
    )

    assert line[13:] == (
        "WARNING jobstream.worker takeover_unclean partition=shop.mail/3 in_a_row=1 "
        'reason="two words"'
    )


def test_a_json_line_is_one_object_with_every_extra_field() -> None:
    line = JsonLines().format(record("job_dead", job_id="j-1", level="own", at=object))

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

    assert "ValueError: bad" in PlainLines().format(failed)
    assert "ValueError: bad" in json.loads(JsonLines().format(failed))["exception"]


@pytest.mark.parametrize("value", ["a\x1b[31mb", "a\nb", "", 'a"b', "a=b", "\u202ereversed"])
def test_no_value_can_break_a_plain_line(value: str) -> None:
    line = PlainLines().format(record("event", value=value))

    assert "\n" not in line
    assert "\x1b" not in line
    assert "\u202e" not in line
    assert line.partition("value=")[2].startswith('"')


def test_configure_replaces_the_handler_and_keeps_its_form(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    logger = logging.getLogger()
    monkeypatch.setattr(logger, "handlers", [])
    before = logger.level
    try:
        configure("json", "error")
        configure("plain", "info")

        assert [type(handler.formatter) for handler in logger.handlers] == [PlainLines]
        assert logger.level == logging.INFO
    finally:
        logger.setLevel(before)


def test_text_from_outside_is_harmless() -> None:
    assert printable("\x1b[2J\u202ex\tä\n") == "\\x1b[2J\\u202ex\tä\n"
    assert one_line("a\n  b" + "c" * 300, 10) == "a bcccccc…"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.25, "0.2s"), (42, "42s"), (119, "119s"), (120, "2m"), (7_200, "2h"), (172_800, "2d")],
)
def test_ages_are_short(seconds: float, text: str) -> None:
    assert age(seconds) == text


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 B"), (1_023, "1023 B"), (1_536, "1.5 KiB"), (2 << 40, "2.0 TiB")]
)
def test_sizes_are_short(count: int, text: str) -> None:
    assert size(count) == text
