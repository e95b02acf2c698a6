"""`jobstream worker`: one process that runs jobs, or a supervisor of several."""

from __future__ import annotations

import dataclasses
import logging
import os
import sys
from functools import partial
from typing import TYPE_CHECKING

import click

from jobstream.cli.app_command import AppCommand
from jobstream.cli.extras import needing
from jobstream.cli.log_output import LogForm, configure_process, log_as_here
from jobstream.cli.options import at_port, log_level_option, log_option
from jobstream.cli.queue_shares import QueueShares, check_strict, shares_option, strict_option
from jobstream.errors import ConfigError
from jobstream.exits import FLUSH_S, OK, REPLACE, flush, leave
from jobstream.held_signals import hold
from jobstream.roles.every_role import ROLES
from jobstream.roles.stop_signals import SIGNALS
from jobstream_processors.background import in_background, log_end

if TYPE_CHECKING:
    from collections.abc import Iterable

    from jobstream.app import App
    from jobstream.cli.app_name import AppName
    from jobstream.roles.ground import Wishes
    from jobstream.settings import Settings

log = logging.getLogger("jobstream.cli")

PROCESSES_MAX = 256
PORT_MAX = 65_535
UNSERVED_FIX = (
    "this process fires none of them: let another one run with the role scheduler, by jobstream "
    "worker MODULE:APP --only scheduler, or without --only"
)
LEAVE_GRACE_S = 10.0
"""Time that a worker has after its drain to commit, leave its group and end."""


@click.command(cls=AppCommand)
@shares_option
@strict_option
@click.option("--processes", type=click.IntRange(1, PROCESSES_MAX), default=1, show_default=True,
              metavar="N",
              help="Number of worker processes. With two or more, a supervisor restarts each that "
                   "ends.")  # fmt: skip
@click.option("--concurrency", type=click.IntRange(1, 100_000), metavar="N",
              help="Number of jobs that one process runs at once.")  # fmt: skip
@click.option(
    "--metrics-port",
    metavar="PORT|off",
    help="Port for metrics and probes; 0 takes any free port. Process i takes PORT + i.",
)
@click.option(
    "--only",
    type=click.Choice(tuple(ROLES)),
    help=f"Take this role alone: {', '.join(f'{name} {does}' for name, does in ROLES.items())}.",
)
@log_option
@log_level_option
@click.option("--tracebacks", is_flag=True,
              help="Log the traceback of every failed run, not only of a job's last.")  # fmt: skip
@click.option("--allow-undecodable", is_flag=True,
              help="Start although this code cannot read some jobs. They wait an hour for code "
                   "that can, then die.")  # fmt: skip
@click.option("--supervised", is_flag=True, hidden=True, help="A parent starts this one again.")
def command(
    app: AppName,
    *,
    queues: QueueShares | None,
    strict: bool,
    processes: int,
    concurrency: int | None,
    metrics_port: str | None,
    only: str | None,
    form: LogForm,
    log_level: str,
    tracebacks: bool,
    allow_undecodable: bool,
    supervised: bool,
) -> int:
    """Run the jobs of MODULE:APP until SIGTERM, SIGINT or SIGHUP.

    The first signal drains the worker: it starts no more jobs, waits for the running ones (25 s by
    default), and commits offsets. A second signal, at least one second later, ends the worker at
    once. No job is lost; those that were running start again in another worker.
    """
    from jobstream.cli.loading import load_app  # noqa: PLC0415 - loads the Kafka client
    from jobstream.roles.open_files import raised_for  # noqa: PLC0415 - for workers only

    if strict:
        check_strict(queues)
    SIGNALS.supervised = supervised
    configure_process(form, log_level)
    loaded = load_app(app)
    names = None if queues is None else queues.queues
    plans = loaded.plans(names)  # refuses an unknown queue before anything is started
    # So does this for too few open files; children inherit the raised limit.
    raised_for(
        sum(loaded.queues[name].partitions for name in plans) if only in {None, "worker"} else 0
    )
    loaded.settings = at_port(loaded.settings, metrics_port)
    if not supervised:  # Else the parent has said it, or runs the other roles, too.
        warn_of_schedules(loaded, only)
    if processes > 1:
        from jobstream.cli.supervisor import Child, supervise  # noqa: PLC0415 - parents only
        from jobstream.kafka.client.green_threads import refuse_green_threads  # noqa: PLC0415 - as above

        refuse_green_threads()  # it would hear no signal, and its children all refuse

        ports = [port_of(loaded.settings, number) for number in range(processes)]
        command = _child_command()
        children = [Child(str(n), [*command, "--metrics-port", p]) for n, p in enumerate(ports)]
        return supervise(children, leave_s(loaded.settings))
    if allow_undecodable:
        loaded.settings = dataclasses.replace(loaded.settings, allow_undecodable=True)
    if concurrency is not None:
        loaded.settings = dataclasses.replace(loaded.settings, concurrency=concurrency)
    with needing("worker"):
        from jobstream.roles.ground import Wishes  # noqa: PLC0415 - loads the worker's libraries

    wishes = Wishes(
        give_up=partial(_give_up, supervised=supervised),
        tracebacks=tracebacks,
        child_begins=log_as_here(),
        weights={} if queues is None else queues.weights,
        strict=strict,
    )
    return _serve(loaded, names, only, wishes, supervised=supervised)


def warn_of_schedules(app: App, only: str | None) -> None:
    """One line where the app has schedules and this process leaves them to others."""
    if only not in {None, "scheduler"} and app.has_schedules:
        told = {"only": only, "schedules": sorted(app.schedules.declared)}
        log.warning("schedules_not_served", extra={**told, "fix": UNSERVED_FIX})


def port_of(settings: Settings, number: int) -> str:
    """`--metrics-port` of the child of that number: each has one of its own."""
    port = settings.metrics_port
    if port is None:
        return "off"
    if not port:
        return "0"
    if port + number > PORT_MAX:
        message = f"metrics_port={port}: process {number} would need port {port + number}"
        raise ConfigError(message)
    return str(port + number)


def leave_s(settings: Settings) -> float:
    """How long a worker may take to leave after a stop."""
    return settings.drain_ms / 1000 + LEAVE_GRACE_S


def _serve(
    app: App, queues: Iterable[str] | None, only: str | None, wishes: Wishes, *, supervised: bool
) -> int:
    """Take the roles in this process until stopped."""
    with needing("worker"):
        from jobstream.observe.spans import spans_sent  # noqa: PLC0415 - as above
        from jobstream.roles.process import Roles  # noqa: PLC0415 - loads the worker's libraries
    from jobstream_processors.errors import (  # noqa: PLC0415 - as above
        ReplaceProcess,
        WorkerStopped,
    )

    try:
        with spans_sent(app.name, app.settings):
            roles = Roles(app, queues, only, wishes)
            roles.run()
    except (WorkerStopped, ReplaceProcess) as error:
        log.warning("process_replaced", extra={"reason": str(error)})
        _leave(supervised=supervised)
    # Its supervisor starts another one at once; else that is left to what started this process.
    is_replaced = supervised and roles.sent_away and SIGNALS.number is None
    return REPLACE if is_replaced else OK


def _give_up(error: BaseException, *, supervised: bool) -> None:
    """Be replaced, though a handler holds the main thread and perhaps the log."""
    told = partial(log.warning, "process_replaced", extra={"reason": str(error)})
    in_background("jobstream-last-words", told, log_end("jobstream-last-words")).join(FLUSH_S)
    _leave(supervised=supervised)


def _leave(*, supervised: bool) -> None:
    """End this process on the spot: it must publish nothing more, and threads may hang in it."""
    if SIGNALS.number is not None:
        leave(OK)  # It was to leave anyway, and for good.
    if supervised:
        leave(REPLACE)
    flush()
    hold()  # Until the new program can take them.
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606 - our own command


def _child_command() -> list[str]:
    """The command that runs now, for one process; the last `--processes` counts."""
    return [sys.executable, "-m", "jobstream", *sys.argv[1:], "--processes", "1", "--supervised"]
