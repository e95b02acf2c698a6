"""Structlog processors that choose the fields of a log line and render it.

A line shows every extra field of its record, behind the fields of the job that it was written in.
`***` stands in place of what the job type marks as secret: in job args that are logged as they are,
and in extra fields of the same name. Texts are shown as they are. Tracebacks are Python's own, and
hold no local variables.
"""

from __future__ import annotations

import copy
import json
import logging
import sys
from datetime import UTC, datetime
from itertools import groupby
from typing import TYPE_CHECKING, Any, cast

import structlog
from structlog.dev import Column, ConsoleRenderer, plain_traceback
from structlog.processors import JSONRenderer, format_exc_info
from structlog.stdlib import BoundLogger, LoggerFactory, ProcessorFormatter

from jobstream.cli.printable import printable, writes_utf8
from jobstream_processors.current import job_fields, secret_fields
from jobstream_schemas.record_classes import is_record
from jobstream_schemas.secret import MASK, covered, shown

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from structlog.typing import EventDict, Processor

_STANDARD = frozenset(
    (
        *vars(logging.makeLogRecord({})),
        *("message", "asctime", "taskName", "_logger", "_name"),
        "color_message",  # uvicorn's second copy of each message, for terminals of its own
    )
)
_BELOW = ("exception", "stack")
_OWN = ("time", "level", "logger", "event", "pid", *_BELOW)
_DEPTH_MAX = 8
_HOLDERS = (dict, list, tuple)
_DIM, _BOLD, _RESET = "\x1b[2m", "\x1b[1m", "\x1b[0m"
_COLOURS = {
    "debug": "\x1b[34m",
    "info": "\x1b[32m",
    "warning": "\x1b[33m",
    "error": "\x1b[31m",
    "critical": "\x1b[31;1m",
}


def renderer(form: str, *, colours: bool) -> logging.Formatter:
    """The formatter of a form, `plain` or `json`, for records of logging and of structlog alike."""
    last: list[Processor] = [_harmless, _console(colours=colours)]
    if form == "json":
        last = [_apart, JSONRenderer(ensure_ascii=not writes_utf8(sys.stderr))]
    processors: list[Processor] = [format_exc_info, told, *last]
    return _Formatter(processors=processors, foreign_pre_chain=[written])


class _Formatter(ProcessorFormatter):
    """Puts no secret field of job args into a message."""

    def format(self, record: logging.LogRecord) -> str:
        if record.args:
            record = copy.copy(record)
            record.args = _arguments(record.args)
        return super().format(record)


def adopt_structlog() -> None:
    """Let structlog's own loggers write through logging, unless user code configured them."""
    if structlog.is_configured():
        return
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.stdlib.filter_by_level,
            _positional,
            structlog.stdlib.PositionalArgumentsFormatter(),
            ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=BoundLogger,
        logger_factory=LoggerFactory(),
        cache_logger_on_first_use=True,
    )


def written(_: object, __: str, event: EventDict) -> EventDict:
    """Take up a traceback that came with its record as text."""
    record: logging.LogRecord = event["_record"]
    if record.exc_text and not record.exc_info:
        event["exception"] = record.exc_text
    return event


def told(_: object, __: str, event: EventDict) -> EventDict:
    """Everything one line tells, in its order: when and what, the job, its trace, the extras."""
    record: logging.LogRecord = event.pop("_record")
    event.pop("_from_structlog", None)
    line: dict[str, Any] = {
        "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
        "level": record.levelname.lower(),
        "logger": record.name,
        "event": str(event.pop("event", "")),
        "pid": record.process,
    }
    for name in _BELOW:
        text = event.pop(name, None) or event.pop(f"{name}_info", None)
        if text:
            line[name] = str(text).strip()
    extras = {name: value for name, value in vars(record).items() if name not in _STANDARD}
    line |= job_fields() | _trace()
    for name, value in _plain(extras | dict(event), secret_fields()).items():
        line[f"{name}_" if name in _OWN else name] = value
    return line


def _apart(_: object, __: str, line: EventDict) -> EventDict:
    """A partition in two fields, as in lines of a job: a field has one type in all lines."""
    match line.get("partition"):
        case [str(topic), int(number)]:
            return {**line, "topic": topic, "partition": number}
    return line


def _plain(value: object, secret: Collection[str], depth: int = 0) -> Any:  # noqa: ANN401 - whatever JSON can say
    """The value as JSON can say it: what it lacks becomes its text, what is `secret` is `***`."""
    match value:
        case None | bool() | str():
            return value
        case int() | float():
            text = _text(value)
            # JSON has no NaN, and Python writes out no number of thousands of digits.
            return value if text[-1].isdigit() or text[0].isdigit() else text
        case dict() if depth < _DEPTH_MAX:
            return {
                _text(name): MASK if name in secret else _plain(each, secret, depth + 1)
                for name, each in value.items()
            }
        case list() | tuple() | set() | frozenset() if depth < _DEPTH_MAX:
            return [_plain(each, secret, depth + 1) for each in value]
    return _text(value)


def _text(value: object) -> str:
    try:
        return str(covered(value))
    except Exception as error:  # noqa: BLE001 - a user's __str__ may raise anything
        return f"<{type(value).__name__} cannot be shown: {type(error).__name__}>"


class _Shown:
    """An argument of a message, which is shown without secret fields of job args."""

    __slots__ = ("value",)

    def __init__(self, value: object) -> None:
        self.value = value

    def __str__(self) -> str:
        return _text(self.value)

    def __repr__(self) -> str:
        return shown(self.value)


def _arguments(args: Any) -> Any:  # noqa: ANN401 - a tuple, or the one mapping of a message
    if isinstance(args, dict):
        return {name: _argument(value) for name, value in args.items()}
    return tuple(map(_argument, args)) if isinstance(args, tuple) else args


def _argument(value: object) -> object:
    return _Shown(value) if isinstance(value, _HOLDERS) or is_record(value) else value


def _positional(_: object, __: str, event: EventDict) -> EventDict:
    """As `_Formatter`, for messages of structlog's loggers."""
    if "positional_args" in event:
        event["positional_args"] = _arguments(event["positional_args"])
    return event


def _trace() -> dict[str, str]:
    """The active span of OpenTelemetry, where somebody uses it in this process."""
    api = sys.modules.get("opentelemetry.trace")
    if api is None:
        return {}
    span = api.get_current_span().get_span_context()
    if not span.is_valid:
        return {}
    return {"trace_id": f"{span.trace_id:032x}", "span_id": f"{span.span_id:016x}"}


# -- `12:30:01.250 WARNING jobstream.worker takeover_unclean partition=shop.mail/3 in_a_row=1`


def _harmless(_: object, __: str, event: EventDict) -> EventDict:
    """Make the text below the line harmless: messages in it come from outside."""
    for name in _BELOW:
        if name in event:
            event[name] = printable(event[name])
    return event


def _console(*, colours: bool) -> Processor:
    def painted(style: str, text: str) -> str:
        return f"{style}{text}{_RESET}" if colours else text

    def field(key: str, value: object) -> str:
        return painted(_DIM, f"{_word(key)}=") + _word(value)

    def column(key: str, text: Callable[[str], str]) -> Column:
        return Column(key, lambda _, value: text(cast("str", value)))

    columns = [
        Column("", field),
        column("time", lambda value: painted(_DIM, _clock(value))),
        column("level", lambda value: painted(_COLOURS.get(value, ""), f"{value.upper():<7}")),
        column("logger", lambda value: painted(_DIM, printable(value))),
        column("event", lambda value: painted(_BOLD, printable(value))),
        Column("pid", lambda _, __: ""),
    ]
    return ConsoleRenderer(columns=columns, sort_keys=False, exception_formatter=plain_traceback)


def _clock(time: str) -> str:
    return datetime.fromisoformat(time).astimezone().strftime("%H:%M:%S.%f")[:-3]


def _word(value: object) -> str:
    """A value of key=value, in quotes where it would not read as one word."""
    match value:
        case [str(topic), int(partition)]:
            return f"{topic}/{partition}"
        case dict():
            text = ", ".join(f"{name} {_numbers(each)}" for name, each in value.items())
        case list():
            text = ", ".join(map(str, value))
        case _:
            text = str(value)
    is_word = bool(text) and text.isprintable() and not set(text) & set(" \"'=")
    return text if is_word else json.dumps(text, ensure_ascii=not text.isprintable())


def _numbers(value: object) -> str:
    """The value of a mapping's name as text; a list of numbers in order as ranges: `0-11 14`."""
    if not isinstance(value, list) or not all(type(each) is int for each in value):
        return str(value)
    # What follows the one before lies in its range: both differ from their place by the same.
    runs = groupby(enumerate(value), lambda at: at[1] - at[0])
    ranges = [[each for _, each in run] for _, run in runs]
    return " ".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else f"{run[0]}" for run in ranges)
