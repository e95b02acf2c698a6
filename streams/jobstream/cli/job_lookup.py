"""How commands find one job in the log, by its id or the beginning of it. Needs no user code."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeVar

import click

from jobstream.cli.options import brokers_now, moment, queue_option, tell_missing, view_of
from jobstream.cli.output import progress, remark, when
from jobstream.cli.value_types import JOB_ID, MOMENT
from jobstream.exits import FAILURE

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from jobstream.cli.app_name import AppName
    from jobstream.operate.history import History
    from jobstream.operate.view import AppView

    _Function = TypeVar("_Function", bound=Callable[..., Any])


class Looked(NamedTuple):
    """What the log has of a job."""

    view: AppView
    now_ms: Callable[[], int]
    """The brokers' time."""
    job_id: str
    """The whole id."""
    history: History


def lookup_options(function: _Function) -> _Function:
    """Add --queue, the id and --since to a command."""
    since = click.option(
        "--since",
        type=MOMENT,
        metavar="TIME",
        help="Read the log from this time on, as in 2h (2 hours ago) or 2026-01-31T12:00.",
    )
    return queue_option(click.argument("job_id", metavar="ID", type=JOB_ID)(since(function)))


def look_up(app: AppName, job_id: str, queue: str | None, since: str | None) -> Looked:
    """Read what the log has of the job; blocks for as long as that takes, and shows progress."""
    from jobstream.operate.history import history  # noqa: PLC0415 - loads the Kafka client
    from jobstream.operate.short_ids import whole_id  # noqa: PLC0415 - as above

    view = view_of(app)
    now_ms = brokers_now(view)
    queues, since_ms = view.queues(queue), moment("--since", since, now_ms)
    tell_missing(app, view, queue)
    with progress(f"looking for {job_id}") as heard:
        whole = whole_id(view, job_id, queues, since_ms, heard)
        found = history(view, whole, queues, since_ms, heard)
    return Looked(view, now_ms, whole, found)


def no_trace(job_id: str, found: History) -> int:
    """Say that the log has nothing of it, as far as it was read; the command's exit code."""
    looked = "the whole log" if found.since_ms is None else f"since {when(found.since_ms)}"
    remark(f"jobstream: no trace of job {job_id!r} ({looked}); check the app, or give --since")
    return FAILURE
