"""`jobstream job`: one job's way through the log. Needs no user code."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from jobstream.cli.app_command import AppGroup
from jobstream.cli.control_text import TIMES, about, document, holds
from jobstream.cli.job_lookup import look_up, lookup_options, no_trace
from jobstream.cli.options import json_option, or_ours
from jobstream.cli.output import iso, print_json, print_table, remark, say, when
from jobstream.cli.printable import one_line, printable
from jobstream.exits import OK
from jobstream.operate.why_words import made_by

if TYPE_CHECKING:
    from collections.abc import Callable

    from jobstream.cli.app_name import AppName
    from jobstream.control_listing import ControlEntry
    from jobstream.operate.history import History
    from jobstream.operate.view import AppView


@click.group(cls=AppGroup)
def command() -> None:
    """Show the timeline of one job."""


@command.command("show")
@lookup_options
@json_option
def show_command(
    app: AppName, *, queue: str | None, job_id: str, since: str | None, as_json: bool
) -> int:
    """Print the timeline of a job: its copies on queues and rungs, its rows, its dead letters.

    Each retry and each dead letter shows the error before it and the line that raised it. The
    traceback of the last failure follows.

    An id that jobstream made carries its time, so the command reads the log from there on. For any
    other id, such as one from an idempotency key, it reads the whole log unless --since is given.
    The first characters of a UUID, at least 4, are enough if no other job of that time has them.
    The exit code is 1 if the log has no such job.
    """
    view, now_ms, whole, found = look_up(app, job_id, queue, since)
    if whole != job_id:
        remark(f"{job_id} is job {whole}")
    orders = _orders(view, found, or_ours(now_ms))
    if as_json:
        print_json(_document(found) | {"orders": [document(order) for order in orders]})
    elif found.entries:
        _print(found)
        for order in orders:
            say(holds(order))
    if not found.entries:
        return no_trace(job_id, found)
    return OK


def _orders(view: AppView, found: History, now_ms: Callable[[], int]) -> list[ControlEntry]:
    """The control entries in force for this job, its type or its queue."""
    event = found.event
    return about(
        view.orders(now_ms),
        queues={entry.queue for entry in found.entries},
        job_types=[event.job_type] if event is not None else [],
        job_id=found.job_id,
    )


def _print(found: History) -> None:
    event = found.event
    say(f"job {found.job_id}: {event.job_type if event else '?'}, {found.state}")
    if found.tick_ms is not None:
        say(one_line(f"made by {made_by(found, TIMES)}", None))
    if event is not None:
        say(f"args: {event.args}")
    rows = [
        (
            when(entry.at_ms),
            entry.what,
            entry.queue,
            " ".join(f"{name}={value}" for name, value in entry.detail.items()),
            "{} [{}] {}".format(*entry.place),
        )
        for entry in found.entries
    ]
    print_table(("appended", "what", "queue", "detail", "where"), rows)
    if found.traceback:
        say(f"traceback of the last failure:\n{printable(found.traceback).rstrip()}")


def _document(found: History) -> dict[str, Any]:
    event = found.event
    return {
        "id": found.job_id,
        "state": found.state,
        "type": event.job_type if event else None,
        "meta": event.meta | {"enqueued_at": iso(event.meta["enqueued_at"])} if event else None,
        "args": event.args if event else None,
        "schedule": found.schedule or None,
        "scheduled_for": iso(found.tick_ms) if found.tick_ms is not None else None,
        "traceback": found.traceback or None,
        "timeline": [
            {
                "at": iso(entry.at_ms),
                "what": entry.what,
                "queue": entry.queue,
                **entry.detail,
                **({"traceback": entry.traceback} if entry.traceback else {}),
                "topic": entry.place[0],
                "partition": entry.place[1],
                "offset": entry.place[2],
            }
            for entry in found.entries
        ],
    }
