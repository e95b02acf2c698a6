"""`jobstream control`: what operators tell the workers. Needs no user code, no worker."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from jobstream.cli.app_command import AppGroup
from jobstream.cli.ask_processes import confirm, confirm_drain, meant_here
from jobstream.cli.control_breaker import breaker_command
from jobstream.cli.control_entries import (
    author_options,
    entry_options,
    in_force,
    lift_entry,
    order_entry,
    tell_entry,
    wait_options,
)
from jobstream.cli.control_limit import limit_command
from jobstream.cli.control_text import document, kind_of
from jobstream.cli.options import (
    brokers_now,
    json_option,
    moment,
    or_ours,
    tell_missing,
    view_of,
)
from jobstream.cli.output import age, print_json, print_table, remark, when
from jobstream.cli.printable import one_line
from jobstream.cli.value_types import JOB_ID, MOMENT
from jobstream.exits import OK
from jobstream_processors.core.orders import CANCEL, DRAIN, PAUSE_QUEUE, PAUSE_TYPE, QUIET

if TYPE_CHECKING:
    from jobstream.cli.app_name import AppName
    from jobstream.control_listing import ControlEntry
    from jobstream.operate.view import AppView

_queue_option = click.option("--queue", metavar="QUEUE", help="Name of a queue.")
_type_option = click.option("--type", "job_type", metavar="TYPE", help="Name of a job type.")


@click.group(cls=AppGroup)
def command() -> None:
    """Pause queues and job types, cancel jobs, quiet or drain workers, hold breakers, set limits.

    Each command writes an entry that all workers read within 2 seconds. An entry shows who wrote it
    and why, and ends by itself.
    """


@command.command("list")
@json_option
def list_command(app: AppName, *, as_json: bool) -> int:
    """List the entries in force: pauses, cancels, quiet workers, drains, breakers, limits."""
    view = view_of(app)
    tell_missing(app, view)
    now_ms = or_ours(brokers_now(view))
    found = in_force(view, now_ms)
    if as_json:
        print_json([document(entry) for entry in found])
        return OK
    now_s = now_ms() / 1_000 if found else 0.0
    rows = [
        (
            kind_of(entry),
            entry.subject,
            when(round(entry.expires_at.timestamp() * 1_000)),
            age(max(0.0, entry.expires_at.timestamp() - now_s)),
            entry.who,
            entry.why,
        )
        for entry in found
    ]
    print_table(("kind", "subject", "until", "left>", "who", "why"), rows)
    if not rows:
        remark("nothing is in force")
    return OK


@command.command("pause")
@_queue_option
@_type_option
@wait_options
@entry_options("24h")
@json_option
def pause_command(
    app: AppName,
    *,
    queue: str | None,
    job_type: str | None,
    wait_s: float,
    as_json: bool,
    **said: str | None,
) -> int:
    """Pause a queue or a job type: workers start no more of its jobs. Running jobs go on.

    Give --queue or --type. Workers set jobs of a paused type aside and run the other jobs of the
    partition. Once the set-aside jobs fill the window of a partition, its other jobs wait too.
    Pausing a queue holds up that queue only.
    """
    view = view_of(app)
    kind, subject = _about(queue, job_type)
    _must_exist(view, kind, subject)
    tell_entry(view, kind, subject, said, as_json=as_json)
    return confirm(view, kind, subject, wait_s)


@command.command("resume")
@_queue_option
@_type_option
@click.argument("job_id", metavar="[ID]", required=False, type=JOB_ID)
@wait_options
@json_option
def resume_command(
    app: AppName,
    *,
    queue: str | None,
    job_type: str | None,
    job_id: str | None,
    wait_s: float,
    as_json: bool,
) -> int:
    """End the pause of a queue or a job type, or the order to cancel the job ID.

    A job that has already ended as cancelled stays cancelled.
    """
    view = view_of(app)
    kind, subject = _about(queue, job_type, job_id)
    if kind == CANCEL:
        _lift(view, kind, _cancelled(view, subject), as_json=as_json)
        return OK
    _lift(view, kind, subject, as_json=as_json)
    return confirm(view, kind, subject, wait_s, in_force=False)


@command.command("cancel")
@click.argument("job_id", metavar="ID", type=JOB_ID)
@click.option(
    "--since",
    metavar="TIME",
    type=MOMENT,
    help="Look for the job from this time on, as in 2h (2 hours ago) or 2026-01-31T12:00.",
)
@click.option("--no-look", is_flag=True, help="Write the order without looking for the job.")
@entry_options("30d")
@json_option
def cancel_command(
    app: AppName,
    *,
    job_id: str,
    since: str | None,
    no_look: bool,
    as_json: bool,
    **said: str | None,
) -> int:
    """Cancel a job, whether it is queued, waits on the ladder, or runs.

    A running async handler is cancelled and a child process killed. A handler on a thread learns of
    it from ctx.is_cancelled. If the handler returns all the same, the job is done.

    The command looks for the job first and says where it is. It writes no order for a job that has
    ended: the exit code is then 1, or 0 if the job ended as cancelled. For a job that it does not
    find it writes the order, and the exit code is 1. The first characters of a UUID, at least 4,
    are enough. Without --since it reads at most a million records.
    """
    view = view_of(app)
    if no_look:
        tell_entry(view, CANCEL, job_id, said, as_json=as_json)
        return OK
    from jobstream.cli.cancelling import cancel  # noqa: PLC0415 - loads the Kafka client

    since_ms = moment("--since", since, brokers_now(view))

    def order(whole_id: str) -> ControlEntry:
        return order_entry(view, CANCEL, whole_id, said)

    return cancel(app, view, job_id, since_ms, order, as_json=as_json)


@command.command("quiet")
@click.argument("worker", metavar="HOST:PID")
@wait_options
@entry_options("1h")
@json_option
def quiet_command(
    app: AppName, *, worker: str, wait_s: float, as_json: bool, **said: str | None
) -> int:
    """Quiet workers: they finish their running jobs and start no new ones.

    Name the worker as HOST:PID; "host:*" means all workers of a host. A quiet worker keeps its
    partitions, so no other worker runs their jobs in the meantime.
    """
    view = view_of(app)
    tell_entry(view, QUIET, worker, said, as_json=as_json)
    return confirm(view, QUIET, worker, wait_s)


@command.command("unquiet")
@click.argument("worker", metavar="HOST:PID")
@wait_options
@json_option
def unquiet_command(app: AppName, *, worker: str, wait_s: float, as_json: bool) -> int:
    """Let quiet workers start jobs again. Give HOST:PID exactly as you gave it to `quiet`."""
    view = view_of(app)
    _lift(view, QUIET, worker, as_json=as_json)
    return confirm(view, QUIET, worker, wait_s, in_force=False)


@command.command("drain")
@click.argument("worker", metavar="HOST:PID")
@wait_options
@author_options
@json_option
def drain_command(
    app: AppName, *, worker: str, wait_s: float, as_json: bool, **said: str | None
) -> int:
    """Drain workers: they finish their running jobs, hand over their partitions, and end.

    Name the worker as HOST:PID; "host:*" means all workers of a host, and all of those leave at
    once. A worker of `worker --processes` is started again by its supervisor; another one ends with
    exit code 0. Workers that start later ignore the entry, which lasts for 5 minutes. The command
    waits until the workers of this machine drain, not until they have ended.
    """
    view = view_of(app)
    here = meant_here(view, worker) if wait_s else []
    tell_entry(view, DRAIN, worker, said, as_json=as_json)
    return confirm_drain(view, here, wait_s)


def _about(queue: str | None, job_type: str | None, job_id: str | None = None) -> tuple[str, str]:
    kinds = {PAUSE_QUEUE: queue, PAUSE_TYPE: job_type, CANCEL: job_id}
    given = [(kind, subject) for kind, subject in kinds.items() if subject is not None]
    if len(given) != 1:
        message = "give exactly one: --queue QUEUE, --type TYPE, or, to `resume`, the ID of a job"
        raise click.UsageError(message)
    return given[0]


def _must_exist(view: AppView, kind: str, subject: str) -> None:
    """Refuse an unknown queue or job type: a typing error must not pass for a pause."""
    if kind == PAUSE_QUEUE:
        view.queues(subject)
        return
    from jobstream.operate.name_check import unknown_type  # noqa: PLC0415 - as above

    view.queues()
    known = view.catalogue.job_types()
    if subject not in known:
        raise unknown_type(view.app, subject, known)


def _cancelled(view: AppView, given: str) -> str:
    """The job of an order in force that is meant; raises NotThere for the beginning of none."""
    from jobstream.operate.ids import begins_with, is_prefix, only_one  # noqa: PLC0415 - as above

    orders = in_force(view, or_ours(brokers_now(view)))
    there = [entry.subject for entry in orders if entry.kind == CANCEL]
    if given in there or not is_prefix(given):
        return given
    found = only_one(given, [job_id for job_id in there if begins_with(job_id, given)])
    remark(f"{given} is job {found}")
    return found


def _lift(view: AppView, kind: str, subject: str, *, as_json: bool) -> None:
    """End the entry if it is in force; if it is not, refuse an unknown queue or job type."""
    entries = in_force(view, or_ours(brokers_now(view)))
    there = [each for each in entries if (each.kind, each.subject) == (kind, subject)]
    if not there and kind in {PAUSE_QUEUE, PAUSE_TYPE}:
        _must_exist(view, kind, subject)
    others = ", ".join(one_line(each.subject) for each in entries if each.kind == kind)
    still = f"; still in force: {others}" if kind == QUIET and others else ""
    lift_entry(view, kind, subject, there, still, as_json=as_json)


command.add_command(breaker_command)
command.add_command(limit_command)
