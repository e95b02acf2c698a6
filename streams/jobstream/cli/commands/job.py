"""`jobstream job`: one job's way through the log. Needs no user code."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from jobstream.cli.app_command import AppGroup
from jobstream.cli.control_text import about, document, holds
from jobstream.cli.options import (
    brokers_now,
    json_option,
    moment,
    or_ours,
    queue_option,
    tell_missing,
    view_of,
)
from jobstream.cli.output import iso, print_json, print_table, progress, remark, say, when
from jobstream.cli.printable import printable
from jobstream.exits import FAILURE, OK

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
@queue_option
@click.argument("job_id", metavar="ID")
@click.option(
    "--since",
    metavar="TIME",
    help="Read the log from this time on, as in 2h (2 hours ago) or 2026-01-31T12:00.",
)
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
    from jobstream.operate.history import history  # noqa: PLC0415 - loads the Kafka client
    from jobstream.operate.short_ids import whole_id  # noqa: PLC0415 - as above

    view = view_of(app)
    now_ms = brokers_now(view)
    queues, since_ms = view.queues(queue), moment("--since", since, now_ms)
    tell_missing(app, view, queue)
    with progress(f"looking for {job_id}") as heard:
        whole = whole_id(view, job_id, queues, since_ms, heard)
        found = history(view, whole, queues, since_ms, heard)
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
        looked = "the whole log" if found.since_ms is None else f"since {when(found.since_ms)}"
        remark(f"jobstream: no trace of job {job_id!r} ({looked}); check the app, or give --since")
        return FAILURE
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
