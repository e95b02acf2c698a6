"""`jobstream dlq`: open dead letters, shown, redriven or discarded. Needs no user code."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import click

from jobstream.cli.app_command import AppGroup
from jobstream.cli.dlq_groups import groups_command
from jobstream.cli.letter_filter import chosen, filter_of, filter_options, said
from jobstream.cli.options import brokers_now, json_option, or_ours, queue_option, sink_of, view_of
from jobstream.cli.output import age, iso, print_json_line, print_table, remark, say
from jobstream.cli.printable import printable
from jobstream.exits import FAILURE, OK

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from jobstream.cli.app_name import AppName
    from jobstream.operate.open_letters import Letter
    from jobstream.operate.redrive import Closed
    from jobstream.operate.view import AppView

LIST_LIMIT = 1_000
WAYS = ("redriven", "discarded", "closed", "failed")
"""What becomes of letters, in the order of the sum; `closed`: somebody else had done it."""
COLUMNS = (
    "id", "type", "cause", "reason", "error", "attempts>", "redrive>", "age>", "origin", "message"
)  # fmt: skip
_all_option = click.option(
    "--all",
    "everything",
    is_flag=True,
    help="Confirm that every letter is meant, without a filter.",
)
_limit_option = click.option(
    "--limit",
    type=click.IntRange(1),
    metavar="N",
    help="Close at most N letters, the oldest first.",
)
_dry_run_option = click.option(
    "--dry-run", is_flag=True, help="Show the letters that the command would close; change nothing."
)


@click.group(cls=AppGroup)
def command() -> None:
    """List, show, redrive and discard open dead letters.

    A job that failed for good leaves a dead letter. The letter is open until a redrive, a discard
    or the job's own success closes it.
    """


command.add_command(groups_command)


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
            print_json_line(_summary(letter))
    elif shown:
        at_ms = or_ours(now_ms)()
        print_table(COLUMNS, [_row(letter, at_ms) for letter in shown])
    if len(found) > len(shown):
        remark(f"{len(found) - len(shown)} more; raise --limit or narrow with --type, --since …")
    return OK


@command.command("show")
@queue_option
@click.argument("job_id", metavar="ID")
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
    documents = [document(view, letter, _summary(letter), dump=dump) for letter in found]
    for each in documents:
        if as_json:
            print_json_line(each)
        else:
            say(text(each))
    return OK if found else FAILURE


@command.command("redrive")
@queue_option
@filter_options
@_all_option
@_limit_option
@click.option("--rate", metavar="N/s", help="Redrive at most N letters a second, as in 50/s.")
@_dry_run_option
@json_option
def redrive_command(
    app: AppName,
    *,
    queue: str | None,
    everything: bool,
    limit: int | None,
    rate: str | None,
    dry_run: bool,
    as_json: bool,
    **conditions: object,
) -> int:
    """Put the jobs of dead letters back on their queues, and close the letters.

    Each job starts anew at attempt 1. Its letter is closed once the job is back on its queue. A job
    that is done by then is dropped by the worker; to run it again, enqueue it again. The exit code
    is 0 also if there is no letter, and 1 if a name is unknown or a letter failed.
    """
    from jobstream.operate.redrive import read_rate, redrive  # noqa: PLC0415 - with the command

    view, pace = view_of(app), read_rate(rate) if rate else None
    letters = _to_close("redrive", app, view, queue, conditions, everything=everything)[:limit]
    if dry_run:
        return _would("redrive", letters, as_json=as_json)
    if not letters:
        return OK
    with sink_of(view) as sink:
        return _report(redrive(view, sink, letters, pace), as_json=as_json)


@command.command("discard")
@queue_option
@filter_options
@_all_option
@_limit_option
@_dry_run_option
@json_option
def discard_command(
    app: AppName,
    *,
    queue: str | None,
    everything: bool,
    limit: int | None,
    dry_run: bool,
    as_json: bool,
    **conditions: object,
) -> int:
    """Close dead letters without running their jobs.

    Kafka removes their bytes when it compacts the topic. The exit code is 0 also if there is no
    letter, and 1 if a name is unknown or a letter failed.
    """
    from jobstream.operate.redrive import discard  # noqa: PLC0415 - with the command only

    view = view_of(app)
    letters = _to_close("discard", app, view, queue, conditions, everything=everything)[:limit]
    if dry_run:
        return _would("discard", letters, as_json=as_json)
    if not letters:
        return OK
    with sink_of(view) as sink:
        return _report(discard(view, sink, letters), as_json=as_json)


def _to_close(
    what: str,
    app: AppName,
    view: AppView,
    queue: str | None,
    conditions: Mapping[str, object],
    *,
    everything: bool,
) -> list[Letter]:
    """The letters that are meant; raises UsageError where nothing says which."""
    wanted = filter_of(conditions, brokers_now(view))
    if wanted.is_empty and queue is None and not everything:
        message = f"this would {what} every letter of the app: give a filter, or --all"
        raise click.UsageError(message)
    return chosen(app, view, queue, wanted, said(conditions))


def _report(closed: Iterator[Closed], *, as_json: bool) -> int:
    """Tell each letter as it is done, then the sum; on Ctrl-C the sum of what was done."""
    counts: Counter[str] = Counter()
    try:
        for each in closed:
            counts[each.outcome] += 1
            if as_json:
                print_json_line({"outcome": each.outcome, "why": each.reason,
                                 **_summary(each.letter)})  # fmt: skip
            else:
                why = f": {each.reason}" if each.reason else ""
                named = f"{each.letter.id} (redrive {each.letter.redrive}){why}"
                say(f"{each.outcome} {printable(named)}")
    finally:
        told = [f"{counts[way]} {way}" for way in WAYS if counts[way]]
        remark(", ".join(told) or "no letter to close")
    return FAILURE if counts["failed"] else OK


def _would(what: str, letters: list[Letter], *, as_json: bool) -> int:
    for letter in letters:
        if as_json:
            print_json_line({"outcome": f"would {what}", **_summary(letter)})
        else:
            named = f"{letter.id} ({letter.job_type or '?'}, {letter.carried.reason})"
            say(f"would {what} {printable(named)}")
    remark(f"would {what} {len(letters)} letters; nothing was changed")
    return OK


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


def _summary(letter: Letter) -> dict[str, Any]:
    carried = letter.carried
    topic, partition, offset = letter.place
    return {
        "id": letter.id,
        "queue": letter.queue,
        "type": letter.job_type or None,
        "fingerprint": letter.fingerprint,
        "reason": carried.reason,
        "error": carried.error,
        "message": carried.message,
        "frame": carried.frame,
        "attempts": carried.attempt,
        "redrive": letter.redrive,
        "died_at": iso(letter.died_ms),
        "first_failed_at": iso(carried.first_failed_ms) if carried.first_failed_ms else None,
        "release": letter.release or None,
        "origin": carried.origin,
        "letter": f"{topic}:{partition}:{offset}",
        **({"trouble": letter.trouble} if letter.trouble else {}),
    }
