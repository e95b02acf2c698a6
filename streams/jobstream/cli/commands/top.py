"""`jobstream top`: a board in the terminal, for who is on call."""

from __future__ import annotations

import os
import sys
import threading
from typing import TYPE_CHECKING

import click

from jobstream.cli.app_command import AppCommand
from jobstream.cli.extras import needing
from jobstream.cli.seen_app import database_option, site_of
from jobstream.errors import ConfigError
from jobstream.exits import FAILURE, OK

if TYPE_CHECKING:
    from jobstream.acting.operations import Operations
    from jobstream.cli.app_name import AppName

SIZES = ("COLUMNS", "LINES")
"""Where these are exported they say how large a window was once, and hold over its size of now."""
STOP_S_MAX = 5.0
"""How long an operation that was stopped may take for the job that it is at."""


@click.command(cls=AppCommand)
@click.option("--filter", "filter_text", metavar="TEXT", default="",
              help="Show only lines with this text at first.")  # fmt: skip
@click.option("--interval", type=click.FloatRange(0.5, 3_600), metavar="SECONDS", default=2.0,
              show_default=True, help="Time between an answer and the next question.")  # fmt: skip
@database_option
def command(app: AppName, *, filter_text: str, interval: float, database: str | None) -> int:
    """Show queues, running jobs, dead letters and limits in the terminal, and act on them.

    Late queues come first. Keys pause a queue or job type, try and redrive a cause of dead letters,
    show the life of a job and why it waits; `?` lists them. Each pane says how old it is and where
    it was read. Acts ask for a reason, which is kept in the log of the app. What a log would say
    meanwhile is printed at the end.
    """
    require_terminal()
    with needing("top"):
        from jobstream.cli.board.board_app import Board  # noqa: PLC0415 - needs the extra
        from jobstream.cli.board.board_source import BoardSource  # noqa: PLC0415 - as above
    from jobstream.cli.board.held_log import log_held  # noqa: PLC0415 - with the command only

    for name in SIZES:
        os.environ.pop(name, None)
    site = site_of(app, database)
    site.read_side.require()
    source = BoardSource(site)
    board = Board(source, interval, filter_text)
    with log_held():
        board.run(mouse=False)
        _stop(source.operations)
    site.close()
    return FAILURE if board.return_code else OK


def require_terminal() -> None:
    """Raise ConfigError where nothing can be drawn or no key can be heard."""
    streams = {"input": sys.stdin, "output": sys.stdout, "error": sys.stderr}
    for name, stream in streams.items():
        if not stream.isatty():
            message = (
                f"standard {name} is no terminal, so there is nothing to draw on; in scripts use "
                "`jobstream lag --json`, `jobstream jobs --json` or `jobstream dlq list --json`"
            )
            raise ConfigError(message)
    if os.environ.get("TERM", "dumb") == "dumb":
        message = "TERM is dumb or not set: set it to what the terminal is, as in xterm-256color"
        raise ConfigError(message)


def _stop(operations: Operations) -> None:
    """Let operations end after the job that they are at; blocks for five seconds at most."""
    operations.stop_all()
    pause = threading.Event()
    for _ in range(round(STOP_S_MAX / 0.05)):
        if not operations.running():
            return
        pause.wait(0.05)
