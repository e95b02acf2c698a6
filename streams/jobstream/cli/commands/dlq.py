"""`jobstream dlq`: open dead letters, listed and shown; what changes them stands beside."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from jobstream.cli.app_command import AppGroup
from jobstream.cli.dlq_close import discard_command, redrive_command
from jobstream.cli.dlq_file import export_command, import_command
from jobstream.cli.dlq_fix import fix_command
from jobstream.cli.dlq_groups import groups_command
from jobstream.cli.dlq_try import try_command
from jobstream.cli.letter_filter import chosen, filter_of, filter_options, said
from jobstream.cli.letter_summary import summary
from jobstream.cli.options import brokers_now, json_option, or_ours, queue_option, view_of
from jobstream.cli.output import age, print_json_line, print_table, remark, say
from jobstream.cli.value_types import JOB_ID
from jobstream.exits import FAILURE, OK

if TYPE_CHECKING:
    from jobstream.cli.app_name import AppName
    from jobstream.operate.open_letters import Letter

LIST_LIMIT = 1_000
COLUMNS = (
    "id", "type", "cause", "reason", "error", "attempts>", "redrive>", "age>", "origin", "message"
)  # fmt: skip


@click.group(cls=AppGroup)
def command() -> None:
    """List, show, try, redrive, fix and discard open dead letters, one by one or by cause.

    A job that failed for good leaves a dead letter. The letter is open until a redrive, a discard
    or the job's own success closes it.
    """


for _each in (
    *(groups_command, try_command, redrive_command, fix_command),
    *(discard_command, export_command, import_command),
):
    command.add_command(_each)


@command.command("list")
@queue_option
@filter_options
@click.option("--limit", type=click.IntRange(1), metavar="N", default=LIST_LIMIT, show_default=True,
              help="List at most this many letters.")  # fmt: skip
@json_option
def list_command(
    app: AppName, *, queue: str | None, limit: int, as_json: bool, **conditions: object
) -> int:
    """List open letters, the oldest first. JSON has one object a line.

    An unknown reason, type, error or id is refused; the message lists the known ones.
    """
    view = view_of(app)
    now_ms = brokers_now(view)
    found = chosen(app, view, queue, filter_of(conditions, now_ms), said(conditions))
    shown = found[:limit]
    if as_json:
        for letter in shown:
            print_json_line(summary(letter))
    elif shown:
        at_ms = or_ours(now_ms)()
        print_table(COLUMNS, [_row(letter, at_ms) for letter in shown])
    if len(found) > len(shown):
        remark(f"{len(found) - len(shown)} more; raise --limit or narrow with --type, --since …")
    return OK


@command.command("show")
@queue_option
@click.argument("job_id", metavar="ID", type=JOB_ID)
@click.option("--bytes", "dump", is_flag=True,
              help="Show the bytes of a job that cannot be decoded; they may hold "
                   "secrets.")  # fmt: skip
@json_option
def show_command(app: AppName, *, queue: str | None, job_id: str, dump: bool, as_json: bool) -> int:
    """Show the open letters of one job, each with its args, traceback and headers.

    The first characters of a UUID, at least 4, are enough if no other open letter has them. Of a
    job that cannot be decoded, the command shows the size and the schema, and the bytes only with
    --bytes. JSON has one object a line for each letter. A job has several letters if it was
    redriven and died again before its first letter was closed.
    """
    from jobstream.cli.letter_text import document, text  # noqa: PLC0415 - with the command only
    from jobstream.operate.filters import LetterFilter  # noqa: PLC0415 - as above

    view = view_of(app)
    found = chosen(app, view, queue, LetterFilter(ids=(job_id,)), job_id)
    documents = [document(view, letter, summary(letter), dump=dump) for letter in found]
    for each in documents:
        if as_json:
            print_json_line(each)
        else:
            say(text(each))
    return OK if found else FAILURE


def _row(letter: Letter, now_ms: int) -> tuple[Any, ...]:
    carried = letter.carried
    return (
        letter.id,
        letter.job_type or "?",
        letter.fingerprint,
        carried.reason or letter.trouble,
        " at ".join(text for text in (carried.error, carried.frame) if text),
        carried.attempt,
        letter.redrive,
        age(max(0, now_ms - letter.died_ms) / 1000),
        carried.origin,
        carried.message,
    )
