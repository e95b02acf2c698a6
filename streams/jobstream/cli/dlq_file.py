"""`jobstream dlq export` and `import`: dead letters kept in files, byte for byte."""

from __future__ import annotations

import sys
from io import TextIOWrapper
from typing import TYPE_CHECKING

import click

from jobstream.cli.app_command import AppCommand
from jobstream.cli.letter_filter import chosen, filter_of, filter_options, said
from jobstream.cli.options import brokers_now, json_option, queue_option, view_of
from jobstream.cli.output import print_json, remark, say
from jobstream.cli.printable import printable
from jobstream.errors import ConfigError
from jobstream.exits import FAILURE, OK
from jobstream.topics.by_queue import counted

if TYPE_CHECKING:
    from jobstream.cli.app_name import AppName
    from jobstream.operate.letter_file import Imported

SHOWN_MAX = 10


@click.command("export", cls=AppCommand)
@queue_option
@filter_options
def export_command(app: AppName, *, queue: str | None, **conditions: object) -> int:
    """Print open letters as lines of JSON, byte for byte, for `dlq import`.

    They hold the jobs as the log does, secrets too. Nothing is changed.
    """
    from jobstream.operate.letter_file import lines_of  # noqa: PLC0415 - with the command only

    view = view_of(app)
    wanted = filter_of(conditions, brokers_now(view))
    letters = chosen(app, view, queue, wanted, said(conditions))
    count = 0
    for count, line in enumerate(lines_of(view, letters), 1):  # noqa: B007 - told below
        say(line)
    left = len(letters) - count
    told = f"; {left} left out: closed meanwhile, or headers that can't be read" if left else ""
    remark(f"{counted(count, 'letter')} exported{told}")
    return OK


@click.command("import", cls=AppCommand)
@click.argument("file", metavar="FILE")
@click.option("--skip-bad", is_flag=True, help="Leave out lines that are no letters of the app.")
@json_option
def import_command(app: AppName, *, file: str, skip_bad: bool, as_json: bool) -> int:
    """Put exported letters back to their topics, as open letters; `-` reads stdin.

    Every line is checked first: a bad one is named with its number, and then nothing is written
    unless --skip-bad. A letter that is open already is left as it is, so a repeat is safe. A worker
    closes a letter whose job is done or went on in the meantime. `dlq redrive` runs the jobs.
    """
    from jobstream.operate.dead_letters import DeadLetters  # noqa: PLC0415 - with the command only
    from jobstream.operate.letter_file import bounded  # noqa: PLC0415 - as above

    letters = DeadLetters(view_of(app))
    if file == "-":
        if isinstance(sys.stdin, TextIOWrapper):
            sys.stdin.reconfigure(encoding="utf-8", errors="replace")
        return _tell(letters.import_(bounded(sys.stdin), skip_bad=skip_bad), as_json=as_json)
    try:
        with open(file, encoding="utf-8", errors="replace") as lines:  # noqa: PTH123 - may be a pipe
            return _tell(letters.import_(bounded(lines), skip_bad=skip_bad), as_json=as_json)
    except OSError as error:
        message = f"{file} can't be read: {error.strerror}"
        raise ConfigError(message) from error


def _tell(done: Imported, *, as_json: bool) -> int:
    if as_json:
        bad = [each._asdict() for each in done.bad]
        failed = [{"letter": name, "why": why} for name, why in done.failed]
        print_json({"written": done.written, "there": done.there, "bad": bad, "failed": failed})
    else:
        were = "was" if done.there == 1 else "were"
        say(f"{counted(done.written, 'letter')} written, {done.there} {were} open already")
    for each in done.bad[:SHOWN_MAX]:
        remark(printable(f"skipped line {each.number}: {each.why}"))
    for name, why in done.failed[:SHOWN_MAX]:
        remark(printable(f"failed {name}: {why}"))
    if done.bad or done.failed:
        skipped = f"{counted(len(done.bad), 'line')} skipped"
        remark(f"{skipped}, {counted(len(done.failed), 'letter')} failed")
    return FAILURE if done.bad or done.failed else OK
