"""`jobstream control`: what operators tell the workers. Needs no user code, no worker."""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar

import click

from jobstream.cli.app_command import AppGroup
from jobstream.cli.ask_processes import confirm
from jobstream.cli.control_text import by, document, ended, holds
from jobstream.cli.exits import OK
from jobstream.cli.options import (
    brokers_now,
    json_option,
    moment,
    or_ours,
    seconds,
    tell_missing,
    view_of,
)
from jobstream.cli.output import age, print_json, print_table, remark, say, when
from jobstream.cli.printable import one_line
from jobstream_processors.core.orders import CANCEL, PAUSE_QUEUE, PAUSE_TYPE, QUIET

if TYPE_CHECKING:
    from collections.abc import Callable

    from jobstream.cli.app_name import AppName
    from jobstream.control import Control, ControlEntry
    from jobstream.operate.view import AppView

_queue_option = click.option("--queue", metavar="QUEUE", help="The queue of that name.")
_type_option = click.option("--type", "job_type", metavar="TYPE", help="The job type of that name.")
TIMEOUT_MS_MIN = 100
_Function = TypeVar("_Function", bound="Callable[..., Any]")


def _wait_options(function: _Function) -> _Function:
    """How long to wait until workers act on it: `wait_s`, 0.0 with --no-wait."""

    @wraps(function)
    def waiting(*, no_wait: bool, timeout: str, **given: object) -> object:
        wait_s = seconds("--timeout", timeout, TIMEOUT_MS_MIN)
        return function(wait_s=0.0 if no_wait else wait_s, **given)

    for option in (
        click.option("--no-wait", is_flag=True, help="Return as soon as the broker has the entry."),
        click.option("--timeout", metavar="DURATION", default="10s", show_default=True,
                     help="How long to wait until the workers of this machine act on it."),
    ):  # fmt: skip
        waiting = option(waiting)
    return waiting  # type: ignore[return-value] # the command's own options are the same


def _entry_options(lasts: str) -> Callable[[_Function], _Function]:
    """What every entry has; `lasts` is how long it lasts by default."""

    def decorate(function: _Function) -> _Function:
        length = f"It ends by itself after that: 30m, 2h, 7d.  [default: {lasts}]"
        for option in (
            click.option("--who", help="By default the user of this process, at this machine."),
            click.option("--why", default="", help="Told to whoever looks."),
            click.option("--for", "lasts", metavar="DURATION", help=length),
        ):
            function = option(function)
        return function

    return decorate


@click.group(cls=AppGroup)
def command() -> None:
    """Pause queues and job types, cancel jobs, quiet workers; seen everywhere within 2 seconds.

    Every entry tells who and why, and ends by itself.
    """


@command.command("list")
@json_option
def list_command(app: AppName, *, as_json: bool) -> int:
    """Show what is in force."""
    view = view_of(app)
    tell_missing(app, view)
    now_ms = or_ours(brokers_now(view))
    found = _in_force(view, now_ms)
    if as_json:
        print_json([document(entry) for entry in found])
        return OK
    now_s = now_ms() / 1_000 if found else 0.0
    rows = [
        (
            entry.kind,
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
@_wait_options
@_entry_options("24h")
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
    """Start no more jobs of a queue or of a job type. What runs goes on.

    Jobs of a paused type are set aside while others of their partition go on, until they fill its
    window: then the partition stands still. A queue per concern is paused without that.
    """
    view = view_of(app)
    kind, subject = _about(queue, job_type)
    _must_exist(view, kind, subject)
    _tell(view, kind, subject, said, as_json=as_json)
    return confirm(view, kind, subject, wait_s)


@command.command("resume")
@_queue_option
@_type_option
@click.argument("job_id", metavar="[ID]", required=False)
@_wait_options
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
    """End a pause, or the cancel of the job ID. A job that ended as cancelled stays so."""
    view = view_of(app)
    kind, subject = _about(queue, job_type, job_id)
    if kind == CANCEL:
        _lift(view, kind, _cancelled(view, subject), as_json=as_json)
        return OK
    _lift(view, kind, subject, as_json=as_json)
    return confirm(view, kind, subject, wait_s, in_force=False)


@command.command("cancel")
@click.argument("job_id", metavar="ID")
@click.option(
    "--since", metavar="TIME", help="Look for the job from then on: 2h, 2026-01-31T12:00."
)
@click.option("--no-look", is_flag=True, help="Write the order at once, wherever the job is.")
@_entry_options("30d")
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
    """Let a job end as cancelled, wherever it is: queued, waiting, or running.

    A running async handler is cancelled, a child process killed, a thread told by
    ctx.is_cancelled. A handler that returns all the same is done.

    It looks for the job first, and says where it is. One that has ended gets no order: exit code
    1, or 0 if it ended as cancelled. One that is not found gets it, and the exit code is 1. The
    beginning of a UUID is enough. More than a million records are not read without --since.
    """
    view = view_of(app)
    if no_look:
        _tell(view, CANCEL, job_id, said, as_json=as_json)
        return OK
    from jobstream.cli.cancelling import cancel  # noqa: PLC0415 - loads the Kafka client

    since_ms = moment("--since", since, brokers_now(view))

    def order(whole_id: str) -> ControlEntry:
        return _order(view, CANCEL, whole_id, said)

    return cancel(app, view, job_id, since_ms, order, as_json=as_json)


@command.command("quiet")
@click.argument("worker", metavar="HOST:PID")
@_wait_options
@_entry_options("1h")
@json_option
def quiet_command(
    app: AppName, *, worker: str, wait_s: float, as_json: bool, **said: str | None
) -> int:
    """Let workers take no new jobs; they finish what they have and keep their partitions.

    "host:*" means all of a host. Nobody else serves their partitions meanwhile.
    """
    view = view_of(app)
    _tell(view, QUIET, worker, said, as_json=as_json)
    return confirm(view, QUIET, worker, wait_s)


@command.command("unquiet")
@click.argument("worker", metavar="HOST:PID")
@_wait_options
@json_option
def unquiet_command(app: AppName, *, worker: str, wait_s: float, as_json: bool) -> int:
    """Let workers take jobs again; HOST:PID exactly as it was given to `quiet`."""
    view = view_of(app)
    _lift(view, QUIET, worker, as_json=as_json)
    return confirm(view, QUIET, worker, wait_s, in_force=False)


def _about(queue: str | None, job_type: str | None, job_id: str | None = None) -> tuple[str, str]:
    kinds = {PAUSE_QUEUE: queue, PAUSE_TYPE: job_type, CANCEL: job_id}
    given = [(kind, subject) for kind, subject in kinds.items() if subject is not None]
    if len(given) != 1:
        message = "give one of them: --queue QUEUE, --type TYPE, or to `resume` the ID of a job"
        raise click.UsageError(message)
    return given[0]


def _in_force(view: AppView, now_ms: Callable[[], int]) -> list[ControlEntry]:
    from jobstream.control import shown  # noqa: PLC0415 - not needed for --help

    return [shown(entry) for entry in view.orders(now_ms)]


def _control(view: AppView) -> Control:
    from jobstream.app import App  # noqa: PLC0415 - not needed for --help

    return App(view.app, settings=view.settings).control


def _must_exist(view: AppView, kind: str, subject: str) -> None:
    """Nobody must believe that something is paused because of a slip of the pen."""
    if kind == PAUSE_QUEUE:
        view.queues(subject)
        return
    from jobstream.operate.name_check import unknown_type  # noqa: PLC0415 - likewise

    view.queues()
    known = view.catalogue.job_types()
    if subject not in known:
        raise unknown_type(view.app, subject, known)


def _order(view: AppView, kind: str, subject: str, said: dict[str, str | None]) -> ControlEntry:
    return _control(view).tell(
        kind, subject, why=said["why"] or "", for_=said["lasts"], who=said["who"]
    )


def _tell(
    view: AppView, kind: str, subject: str, said: dict[str, str | None], *, as_json: bool
) -> None:
    entry = _order(view, kind, subject, said)
    if as_json:
        print_json(document(entry))
    else:
        say(holds(entry))


def _cancelled(view: AppView, given: str) -> str:
    """The job of an order in force that is meant; raises NotThere for the beginning of none."""
    from jobstream.operate.ids import begins_with, is_prefix, only_one  # noqa: PLC0415 - likewise

    orders = _in_force(view, or_ours(brokers_now(view)))
    there = [entry.subject for entry in orders if entry.kind == CANCEL]
    if given in there or not is_prefix(given):
        return given
    found = only_one(given, [job_id for job_id in there if begins_with(job_id, given)])
    remark(f"{given} is job {found}")
    return found


def _lift(view: AppView, kind: str, subject: str, *, as_json: bool) -> None:
    """End what is in force, if anything is; a queue or type that nobody knows is refused then."""
    entries = _in_force(view, or_ours(brokers_now(view)))
    there = [each for each in entries if (each.kind, each.subject) == (kind, subject)]
    if not there and kind in {PAUSE_QUEUE, PAUSE_TYPE}:
        _must_exist(view, kind, subject)
    _control(view).lift(kind, subject)
    if as_json:
        print_json([document(entry) for entry in there])
    elif there:
        say(f"{ended(kind, subject)}; it was {by(there[0])}")
    else:
        others = ", ".join(one_line(each.subject) for each in entries if each.kind == kind)
        still = f"; in force still: {others}" if kind == QUIET and others else ""
        say(f"{ended(kind, subject)}; nothing was in force{still}")
