"""`jobstream canary`: a real job per queue at an interval, all the way. Needs no user code."""

from __future__ import annotations

import threading
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from jobstream.cli.app_command import AppCommand
from jobstream.cli.extras import needing
from jobstream.cli.log_output import LogForm, configure
from jobstream.cli.options import (
    at_port,
    json_option,
    log_level_option,
    log_option,
    metrics_port_option,
    queues_option,
    seconds,
    view_of,
)
from jobstream.cli.output import print_json_line, print_table
from jobstream.cli.value_types import Length
from jobstream.exits import FAILURE, OK
from jobstream.operate.errors import NotThere
from jobstream.roles.stop_signals import SIGNALS, leave_at_once
from jobstream.topics.names import dedup_topic

if TYPE_CHECKING:
    from jobstream.canary.probing import Probed
    from jobstream.canary.service import Canary
    from jobstream.cli.app_name import AppName
    from jobstream.operate.layout import QueueTopics
    from jobstream.operate.view import AppView
    from jobstream.settings import Settings

COLUMNS = ("queue", "partition>", "result", "seconds>", "job", "detail")
LEAST_MS = 1_000


@click.command(cls=AppCommand)
@queues_option
@click.option("--interval", metavar="DURATION", type=Length(LEAST_MS),
              default="30s", show_default=True,
              help="Time between two probes of a queue.")  # fmt: skip
@click.option("--timeout", metavar="DURATION", type=Length(LEAST_MS),
              default="60s", show_default=True,
              help="Report a probe as failed if its job is not done after this time.")  # fmt: skip
@click.option("--once", is_flag=True, help="Probe each queue once, print the results and exit.")
@metrics_port_option
@log_option
@log_level_option
@json_option
def command(
    app: AppName,
    *,
    queues: list[str] | None,
    interval: str,
    timeout: str,
    once: bool,
    metrics_port: str | None,
    form: LogForm,
    log_level: str,
    as_json: bool,
) -> int:
    """Enqueue a job that does nothing on every queue, and check that a worker finishes it.

    The command repeats these probes, and serves their successes and latencies as metrics until
    SIGTERM, SIGINT or SIGHUP. With --once it probes each queue once; the exit code is 1 if a job
    was not done in time. It talks to Kafka only, so it can run in another network than the workers.
    """
    from jobstream.cli.lossy import never_fail  # noqa: PLC0415 - with the command only

    with needing("worker"):
        from jobstream.canary.service import Canary  # noqa: PLC0415 - needs the metrics library

    if not once:
        never_fail()
    configure(form, log_level)
    view = view_of(app)
    settings = at_port(view.settings, metrics_port)
    canary = Canary(
        view.app,
        view.settings,
        chosen(view, queues),
        interval_s=seconds("--interval", interval, LEAST_MS),
        timeout_s=seconds("--timeout", timeout, LEAST_MS),
    )
    if once:
        return _show(canary.once(), as_json=as_json)
    return _serve(canary, settings, view.app)


def chosen(view: AppView, wanted: list[str] | None) -> list[QueueTopics]:
    """The queues of these names; all if None.

    Raises NotThere, naming the queues there are, or the topics that a probe needs and that are not.
    """
    found = view.queues()
    if wanted is not None:
        found = [queue for name in wanted for queue in view.queues(name)]
    needed = {
        topic for queue in found for topic in (queue.topic, dedup_topic(view.app, queue.name))
    }
    missing = ", ".join(sorted(needed.intersection(view.missing())))
    if missing:
        message = (
            f"topics do not exist: {missing}; create them with: jobstream topics apply MODULE:APP"
        )
        raise NotThere(message)
    return found


def _serve(canary: Canary, settings: Settings, app: str) -> int:
    from jobstream.observe.server import serve  # noqa: PLC0415 - needs the extra `metrics`

    told = threading.Event()
    stops = SIGNALS.serving(lambda _: told.set(), leave_at_once)
    with serve(settings, app, "canary", [canary.tally], canary.probes()) as endpoint, stops:
        canary.start()
        endpoint.tell_ready("canary")
        told.wait()
        canary.stop()
    return OK


def _show(found: list[Probed], *, as_json: bool) -> int:
    if as_json:
        for probed in found:
            print_json_line(asdict(probed) | {"ok": not probed.failure})
    else:
        print_table(COLUMNS, map(_row, found))
    return FAILURE if any(probed.failure for probed in found) else OK


def _row(probed: Probed) -> tuple[Any, ...]:
    result = probed.failure or "done"
    seconds = f"{probed.seconds:.3f}"
    return probed.queue, probed.partition, result, seconds, probed.job_id, probed.detail
