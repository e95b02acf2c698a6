"""Log records as lines on stderr: key=value for a person, one JSON object a line for a machine.

Every extra field of a record is shown, whatever its name. It changes no logger but the root.
"""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any, Literal

from jobstream.cli.printable import printable
from jobstream_processors.current import job_fields

LogForm = Literal["auto", "plain", "json"]
FORMS = ("auto", "plain", "json")
LEVELS = ("debug", "info", "warning", "error")
_STANDARD = frozenset(
    (*vars(logging.makeLogRecord({})), "message", "asctime", "taskName", "stack_info")
)


def configure(form: LogForm, level: str) -> None:
    """Send all log records from `level` on to stderr; `auto` is plain on a terminal, else JSON."""
    plain = sys.stderr.isatty() if form == "auto" else form == "plain"
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(PlainLines() if plain else JsonLines())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())


def extras(record: logging.LogRecord) -> dict[str, Any]:
    """The fields that a record carries beyond those of every record, and those of its job."""
    own = {name: value for name, value in vars(record).items() if name not in _STANDARD}
    return job_fields() | own


class PlainLines(logging.Formatter):
    """`12:30:01.250 WARNING jobstream.worker takeover_unclean partition=shop.mail/3 in_a_row=1`."""

    def format(self, record: logging.LogRecord) -> str:
        """One line, and the traceback if there is one."""
        clock = datetime.fromtimestamp(record.created).astimezone()
        fields = "".join(f" {name}={_word(value)}" for name, value in extras(record).items())
        time = clock.strftime("%H:%M:%S.") + f"{record.msecs:03.0f}"
        head = f"{time} {record.levelname:<7} {record.name} "
        return head + printable(record.getMessage()) + fields + _trace(self, record)


class JsonLines(logging.Formatter):
    """One JSON object a line: time, level, logger, event, pid, then the extra fields."""

    def format(self, record: logging.LogRecord) -> str:
        """The object; values that JSON lacks become their text."""
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
            "pid": record.process,
        }
        trace = _trace(self, record).strip()
        if trace:
            line["exception"] = trace
        for name, value in extras(record).items():
            line[f"{name}_" if name in line else name] = value
        return json.dumps(line, default=str, ensure_ascii=False)


def _word(value: object) -> str:
    """A value of key=value, in quotes where it would not read as one word."""
    if isinstance(value, tuple) and len(value) == 2 and isinstance(value[1], int):  # noqa: PLR2004
        return f"{value[0]}/{value[1]}"
    text = str(value)
    is_word = bool(text) and text.isprintable() and not set(text) & set(" \"'=")
    return text if is_word else json.dumps(text, ensure_ascii=not text.isprintable())


def _trace(formatter: logging.Formatter, record: logging.LogRecord) -> str:
    if not record.exc_info or record.exc_info[0] is None:
        return ""
    return "\n" + formatter.formatException(record.exc_info)
