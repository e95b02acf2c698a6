"""What `control cancel` finds of the job before it writes the order, and what it says then."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jobstream.cli.control_text import document, holds
from jobstream.cli.hints import typed
from jobstream.cli.output import iso, print_json, progress, remark, say, when
from jobstream.cli.printable import one_line
from jobstream.exits import FAILURE, OK
from jobstream.operate.errors import LookTooLong
from jobstream.operate.history import WAITING, History, history
from jobstream.operate.ids import is_prefix
from jobstream.operate.process_answers import workers_here
from jobstream.operate.short_ids import whole_id
from jobstream_processors.core import known
from jobstream_processors.core.orders import CANCEL

if TYPE_CHECKING:
    from collections.abc import Callable

    from jobstream.cli.app_name import AppName
    from jobstream.control_listing import ControlEntry
    from jobstream.operate.view import AppView

LOOK_RECORDS_MAX = 1_000_000
"""An order must not wait for longer than that takes to read, which is some ten seconds."""


def cancel(
    app: AppName,
    view: AppView,
    job_id: str,
    since_ms: int | None,
    order: Callable[[str], ControlEntry],
    *,
    as_json: bool,
) -> int:
    """Look for the job, write the order unless it has ended, and say what is true of it.

    Raises NotThere for the beginning of an id that no job has, or several.
    """
    found, untold = _look(view, job_id, since_ms)
    if found.has_ended and found.entries:
        return _ended(app, found, as_json=as_json)
    entry = order(found.job_id)
    if as_json:
        print_json(document(entry) | {"job": _job(found)})
    else:
        say(holds(entry))
        if found.entries:
            say(stands(found, _runner(view, found)))
    if untold:
        remark(f"job not looked for: {untold}; give --since. The order is in force all the same")
    elif not found.entries:
        looked = "the log" if found.since_ms is None else f"the log since {when(found.since_ms)}"
        name = one_line(repr(found.job_id))
        remark(f"jobstream: no trace of job {name} in {looked}: the order takes effect if it comes")
        return FAILURE
    return OK


def stands(found: History, runner: str = "") -> str:
    """Where a job that has not ended is, and how the order reaches it; `runner` has it, if any."""
    at = found.told_by
    assert at is not None, "it was found"  # noqa: S101
    if found.state == WAITING:
        rung = at.detail.get("rung", "?")
        told = f"waits on rung {rung} since {when(at.at_ms)}: it ends as cancelled at its next hop"
    elif runner:
        told = f"runs on {runner}: it ends as cancelled if its handler can be stopped"
    else:
        told = (
            f"is queued on {at.queue} since {when(at.at_ms)}, or runs elsewhere: it ends as "
            "cancelled when its turn comes, or if its handler can be stopped"
        )
    return one_line(f"job {found.job_id} {told}")


def _runner(view: AppView, found: History) -> str:
    """The worker of this machine in which the job runs, by `host:pid`; "" if there is none."""
    if found.state == WAITING:
        return ""
    for answer in workers_here(view):
        if any(run["id"] == found.job_id for run in answer.get("runs") or []):
            return str(answer["worker"])
    return ""


def _look(view: AppView, job_id: str, since_ms: int | None) -> tuple[History, str]:
    """The history of the job, and the reason if the log was not read for it."""
    queues, most = view.queues(), LOOK_RECORDS_MAX if since_ms is None else None
    try:
        with progress(f"looking for {job_id}") as heard:
            whole = whole_id(view, job_id, queues, since_ms, heard, records_max=most)
            found = history(view, whole, queues, since_ms, heard, records_max=most)
    except LookTooLong as error:
        if is_prefix(job_id):
            raise
        return History(job_id, since_ms), str(error)
    if whole != job_id:
        remark(f"{job_id} is job {whole}")
    return found, ""


def _ended(app: AppName, found: History, *, as_json: bool) -> int:
    """Say that nothing is left to cancel; no order is written."""
    at = found.told_by
    assert at is not None, "it was found"  # noqa: S101
    if as_json:
        nothing = dict.fromkeys(("who", "why", "at", "expires_at"))
        print_json({"kind": CANCEL, "subject": found.job_id, **nothing, "job": _job(found)})
    told = f"job {found.job_id} is {found.state} since {when(at.at_ms)}"
    if found.state == known.CANCELLED:
        remark(one_line(f"{told}; no order was needed"))
        return OK
    show = typed(f"jobstream dlq show MODULE:APP {found.job_id}", app)
    more = f"; its letter: {show}" if found.state == known.DEAD else ""
    # Whole, as an advised command that is cut would not work.
    remark(one_line(f"jobstream: {told}; there is nothing to cancel{more}", None))
    return FAILURE


def _job(found: History) -> dict[str, Any] | None:
    at = found.told_by
    if at is None:
        return None
    return {
        "id": found.job_id,
        "state": found.state,
        "since": iso(at.at_ms),
        "queue": at.queue,
        "rung": at.detail.get("rung") if found.state == WAITING else None,
    }
