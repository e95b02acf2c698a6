"""Where log records go: to stderr, as lines for a person or as one JSON object each.

The standard library's logging stays the way to log, for us and for user code; `log_lines` renders.
"""

from __future__ import annotations

import logging
import sys
import threading
from functools import cached_property, partial
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Callable

LogForm = Literal["auto", "plain", "json"]
FORMS = ("auto", "plain", "json")
LEVELS = ("debug", "info", "warning", "error")


class Lines(logging.Formatter):
    """Renders records by structlog, which is loaded at the first record: most commands log none."""

    def __init__(self, form: LogForm, again: Callable[[], None]) -> None:
        super().__init__()
        self.form = form
        self.again = again
        """Sets up the log of another process as in this one; can be pickled."""

    def format(self, record: logging.LogRecord) -> str:
        """One line, in the plain form with the traceback below it."""
        return self._renderer.format(record)

    @cached_property
    def _renderer(self) -> logging.Formatter:
        from jobstream.cli.log_lines import renderer  # noqa: PLC0415 - at the first record

        return renderer(self.form, colours=sys.stderr.isatty())


def configure(form: LogForm, level: str) -> None:
    """Send all log records from `level` on to stderr; `auto` is plain on a terminal, else JSON."""
    if form == "auto":
        form = "plain" if sys.stderr.isatty() else "json"
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Lines(form, partial(configure_process, form, level)))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())


def log_as_here() -> Callable[[], None] | None:
    """Sets up a child's log as `configure` did here; None where user code does it itself."""
    formatters = [handler.formatter for handler in logging.getLogger().handlers]
    return next((made.again for made in formatters if isinstance(made, Lines)), None)


def configure_process(form: LogForm, level: str) -> None:
    """As `configure`, for a process that runs user code: what would bypass the log joins it.

    Those are structlog's own loggers, Python's warnings, and threads that die of an exception.
    User code may still configure each of them in its own way afterwards. What can't be written to
    stdout or stderr is lost, and fails nothing.
    """
    from jobstream.cli.log_lines import adopt_structlog  # noqa: PLC0415 - with such processes only
    from jobstream.cli.lossy import never_fail  # noqa: PLC0415 - as above

    never_fail()
    configure(form, level)
    adopt_structlog()
    logging.captureWarnings(capture=True)
    threading.excepthook = _thread_died


def _thread_died(args: threading.ExceptHookArgs) -> None:
    """As Python's own hook, but as a record of the log; a SystemExit is no failure of a thread."""
    if args.exc_type is SystemExit or args.exc_value is None:
        return
    name = args.thread.name if args.thread is not None else "?"
    told = {"in_thread": name}
    logging.getLogger("jobstream.cli").error("thread_died", exc_info=args.exc_value, extra=told)
