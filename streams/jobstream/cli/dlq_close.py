"""`jobstream dlq redrive` and `discard`: open dead letters closed. Needs no user code."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import click

from jobstream.cli.app_command import AppCommand
from jobstream.cli.letter_filter import chosen, filter_of, filter_options, said
from jobstream.cli.letter_summary import summary
from jobstream.cli.options import brokers_now, json_option, queue_option, sink_of, view_of
from jobstream.cli.output import print_json_line, progress, remark, say
from jobstream.cli.printable import printable
from jobstream.cli.value_types import RATE
from jobstream.exits import FAILURE, OK
from jobstream.topics.by_queue import counted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from jobstream.cli.app_name import AppName
    from jobstream.operate.failed_redrives import Trials
    from jobstream.operate.open_letters import Letter
    from jobstream.operate.redrive import Closed
    from jobstream.operate.view import AppView

WAYS = ("redriven", "discarded", "closed", "failed")
"""What becomes of letters, in the order of the sum; `closed`: somebody else had done it."""
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
_fingerprint_argument = click.argument("fingerprint", metavar="[FINGERPRINT]", required=False)
_why_option = click.option(
    "--why", default="", metavar="TEXT", help="Reason, kept with the closed letters for a week."
)


@click.command("redrive", cls=AppCommand)
@_fingerprint_argument
@queue_option
@filter_options
@_all_option
@_limit_option
@click.option(
    "--rate", metavar="N/s", type=RATE, help="Redrive at most N letters a second, as in 50/s."
)
@click.option("--force", is_flag=True, help="Redrive although the last trial of a cause failed.")
@_why_option
@_dry_run_option
@json_option
def redrive_command(
    app: AppName,
    *,
    fingerprint: str | None,
    queue: str | None,
    everything: bool,
    limit: int | None,
    rate: str | None,
    force: bool,
    why: str,
    dry_run: bool,
    as_json: bool,
    **conditions: object,
) -> int:
    """Put the jobs of dead letters back on their queues, and close the letters.

    Each job starts anew at attempt 1. Its letter is closed once the job is back on its queue. A job
    that is done by then is dropped by the worker; to run it again, enqueue it again. A command that
    is stopped may be repeated: it goes on with what is open.

    With a FINGERPRINT, of which the first 4 characters will do, it is about the letters of that
    cause. If the last redrive of the cause died again of it, nothing is redriven without --force
    (exit code 3). The exit code is 0 also if there is no letter, and 1 if a name is unknown or a
    letter failed.
    """
    from jobstream.caller_name import myself  # noqa: PLC0415 - with the command only
    from jobstream.operate.dead_letters import refuse_failed  # noqa: PLC0415 - as above
    from jobstream.operate.failed_redrives import Trials  # noqa: PLC0415 - as above
    from jobstream.operate.redrive import By, read_rate, redrive  # noqa: PLC0415 - as above

    view, pace, trials = view_of(app), read_rate(rate) if rate is not None else None, Trials()
    _by_cause(conditions, fingerprint)
    letters = _to_close(
        "redrive", app, view, queue, conditions, everything=everything, trials=trials
    )[:limit]
    if conditions["fingerprints"] and not force:
        refuse_failed(letters, trials)
    if dry_run:
        return _would("redrive", letters, as_json=as_json)
    if not letters:
        return OK
    with sink_of(view) as sink:
        closed = redrive(view, sink, letters, pace, By(myself(), why))
        return _report("redriving", closed, len(letters), as_json=as_json)


@click.command("discard", cls=AppCommand)
@_fingerprint_argument
@queue_option
@filter_options
@_all_option
@_limit_option
@_why_option
@_dry_run_option
@json_option
def discard_command(
    app: AppName,
    *,
    fingerprint: str | None,
    queue: str | None,
    everything: bool,
    limit: int | None,
    why: str,
    dry_run: bool,
    as_json: bool,
    **conditions: object,
) -> int:
    """Close dead letters without running their jobs.

    Kafka removes their bytes when it compacts the topic. Who discarded a letter, and --why, stay
    for a week, and `job show` prints them. With a FINGERPRINT it is about that cause's letters.
    The exit code is 0 also if there is no letter, and 1 if a name is unknown or a letter failed.
    """
    from jobstream.caller_name import myself  # noqa: PLC0415 - with the command only
    from jobstream.operate.redrive import By, discard  # noqa: PLC0415 - as above

    view = view_of(app)
    _by_cause(conditions, fingerprint)
    letters = _to_close("discard", app, view, queue, conditions, everything=everything)[:limit]
    if dry_run:
        return _would("discard", letters, as_json=as_json)
    if not letters:
        return OK
    with sink_of(view) as sink:
        closed = discard(view, sink, letters, By(myself(), why))
        return _report("discarding", closed, len(letters), as_json=as_json)


def _to_close(
    what: str,
    app: AppName,
    view: AppView,
    queue: str | None,
    conditions: Mapping[str, object],
    *,
    everything: bool,
    trials: Trials | None = None,
) -> list[Letter]:
    """The letters that are meant; raises UsageError where nothing says which."""
    wanted = filter_of(conditions, brokers_now(view))
    if wanted.is_empty and queue is None and not everything:
        message = f"this would {what} every letter of the app: give a filter, or --all"
        raise click.UsageError(message)
    return chosen(app, view, queue, wanted, said(conditions), trials=trials)


def _by_cause(conditions: dict[str, object], fingerprint: str | None) -> None:
    """Let the argument stand for the option."""
    if fingerprint is not None:
        given = conditions["fingerprints"]
        assert isinstance(given, tuple), "the option may be repeated"  # noqa: S101
        conditions["fingerprints"] = (fingerprint, *given)


def _report(doing: str, closed: Iterator[Closed], total: int, *, as_json: bool) -> int:
    """Tell each letter as it is done, then the sum; on Ctrl-C the sum of what was done."""
    counts: Counter[str] = Counter()
    try:
        with progress(doing) as heard:
            for done, each in enumerate(closed, 1):
                counts[each.outcome] += 1
                if as_json:
                    print_json_line({"outcome": each.outcome, "why": each.reason,
                                     **summary(each.letter)})  # fmt: skip
                else:
                    why = f": {each.reason}" if each.reason else ""
                    named = f"{each.letter.id} (redrive {each.letter.redrive}){why}"
                    say(f"{each.outcome} {printable(named)}")
                heard(done, total)
    finally:
        told = [f"{counts[way]} {way}" for way in WAYS if counts[way]]
        remark(", ".join(told) or "no letter to close")
        if (left := total - sum(counts.values())) > 0:
            remark(f"{left} left as they were; repeat the command for them")
    return FAILURE if counts["failed"] else OK


def _would(what: str, letters: list[Letter], *, as_json: bool) -> int:
    for letter in letters:
        if as_json:
            print_json_line({"outcome": f"would {what}", **summary(letter)})
        else:
            named = f"{letter.id} ({letter.job_type or '?'}, {letter.carried.reason})"
            say(f"would {what} {printable(named)}")
    remark(f"would {what} {counted(len(letters), 'letter')}; nothing was changed")
    return OK
