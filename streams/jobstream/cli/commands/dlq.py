"""`jobstream dlq`: open dead letters, shown, redriven or discarded. Needs no user code."""

from __future__ import annotations

from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from jobstream.cli.app_command import AppGroup
from jobstream.cli.exits import FAILURE, OK
from jobstream.cli.letter_filter import chosen, filter_of, filter_options, said
from jobstream.cli.options import brokers_now, json_option, or_ours, queue_option, view_of
from jobstream.cli.output import (
    age,
    iso,
    print_json_line,
    print_table,
    remark,
    say,
)
from jobstream.cli.printable import printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from jobstream.cli.app_name import AppName
    from jobstream.kafka.produce.sink import KafkaSink
    from jobstream.operate.open_letters import Letter
    from jobstream.operate.redrive import Closed
    from jobstream.operate.view import AppView

LIST_LIMIT = 1_000
COLUMNS = ("id", "type", "reason", "error", "attempts>", "redrive>", "age>", "origin", "message")
_all_option = click.option(
    "--all", "everything", is_flag=True, help="Needed where nothing narrows it down."
)


@click.group(cls=AppGroup)
def command() -> None:
    """Dead letters that are open; a letter is closed by a redrive or a discard."""


@command.command("list")
@queue_option
@filter_options
@click.option("--limit", type=click.IntRange(1), default=LIST_LIMIT, show_default=True)
@json_option
def list_command(
    app: AppName, *, queue: str | None, limit: int, as_json: bool, **conditions: object
) -> int:
    """List open letters, the oldest first. JSON: one object a line.

    A reason, type, error or id that nobody knows is an error, which lists those there are.
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
@click.option(
    "--bytes",
    "dump",
    is_flag=True,
    help="Show the bytes of a job that cannot be read; they may hold secrets.",
)
@json_option
def show_command(app: AppName, *, queue: str | None, job_id: str, dump: bool, as_json: bool) -> int:
    """Show everything about the open letters of one job: its args, traceback and headers.

    The beginning of a UUID is enough where no other open letter has it. Of a job that cannot be
    read: its size and its schema; its bytes only with --bytes. JSON: one
    object a line for each letter; a job has one, but where redrives of it died anew meanwhile.
    """
    from jobstream.cli.letter_text import document, text  # noqa: PLC0415 - with the command only
    from jobstream.operate.filters import LetterFilter  # noqa: PLC0415 - likewise

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
@click.option("--limit", type=click.IntRange(1), help="At most so many, the oldest first.")
@click.option("--rate", metavar="N/s", help="At most so many a second, as in 50/s.")
@click.option("--dry-run", is_flag=True, help="Show what would be done.")
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
    """Put jobs back on their queue with attempts anew, each letter closed after its job is back.

    Exit code 0 where there is nothing to do; 1 for a name that nobody knows, and where one failed.
    A job that is done meanwhile is dropped there. To run a done job again, enqueue it again.
    """
    from jobstream.operate.redrive import read_rate, redrive  # noqa: PLC0415 - with the command

    view, pace = view_of(app), read_rate(rate) if rate else None
    letters = _to_close("redrive", app, view, queue, conditions, everything=everything)[:limit]
    if dry_run:
        return _would("redrive", letters, as_json=as_json)
    if not letters:
        return OK
    with _sink(view) as sink:
        return _report(redrive(view, sink, letters, pace), as_json=as_json)


@command.command("discard")
@queue_option
@filter_options
@_all_option
@click.option("--limit", type=click.IntRange(1), help="At most so many, the oldest first.")
@click.option("--dry-run", is_flag=True, help="Show what would be done.")
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
    """Close letters without running their jobs. Their bytes go with the topic's compaction.

    Exit code 0 where there is nothing to do; 1 for a name that nobody knows, and where one failed.
    """
    from jobstream.operate.redrive import discard  # noqa: PLC0415 - with the command only

    view = view_of(app)
    letters = _to_close("discard", app, view, queue, conditions, everything=everything)[:limit]
    if dry_run:
        return _would("discard", letters, as_json=as_json)
    if not letters:
        return OK
    with _sink(view) as sink:
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
        message = f"this would {what} every letter of the app: narrow it down, or say --all"
        raise click.UsageError(message)
    return chosen(app, view, queue, wanted, said(conditions))


@contextmanager
def _sink(view: AppView) -> Iterator[KafkaSink]:
    from jobstream.kafka.client.broker_clock import BrokerClock  # noqa: PLC0415 - with the command only
    from jobstream.kafka.produce.sink import KafkaSink  # noqa: PLC0415 - likewise

    with closing(KafkaSink(view.options, BrokerClock())) as sink:
        yield sink


@dataclass(slots=True)
class _Counts:
    """How many letters went which way."""

    redriven: int = 0
    discarded: int = 0
    closed: int = 0
    """By somebody else, since they were listed."""
    failed: int = 0


def _report(closed: Iterator[Closed], *, as_json: bool) -> int:
    """Tell each letter as it is done, then the sum; on Ctrl-C the sum of what was done."""
    counts = _Counts()
    try:
        for each in closed:
            setattr(counts, each.outcome, getattr(counts, each.outcome) + 1)
            if as_json:
                print_json_line({"outcome": each.outcome, "why": each.reason,
                                 **_summary(each.letter)})  # fmt: skip
            else:
                why = f": {each.reason}" if each.reason else ""
                named = f"{each.letter.id} (redrive {each.letter.redrive}){why}"
                say(f"{each.outcome} {printable(named)}")
    finally:
        parts = {name: getattr(counts, name) for name in counts.__slots__}
        told = [f"{count} {name}" for name, count in parts.items() if count]
        remark(", ".join(told) or "no letter to close")
    return FAILURE if counts.failed else OK


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
        "reason": carried.reason,
        "error": carried.error,
        "message": carried.message,
        "frame": carried.frame,
        "attempts": carried.attempt,
        "redrive": letter.redrive,
        "died_at": iso(letter.died_ms),
        "first_failed_at": iso(carried.first_failed_ms) if carried.first_failed_ms else None,
        "origin": carried.origin,
        "letter": f"{topic}:{partition}:{offset}",
        **({"trouble": letter.trouble} if letter.trouble else {}),
    }
