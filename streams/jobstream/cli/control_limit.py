"""`jobstream control limit`: other numbers for a limit of a job type, for a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from jobstream.cli.app_command import AppGroup
from jobstream.cli.ask_processes import confirm
from jobstream.cli.control_entries import entry_options, release_entry, tell_entry, wait_options
from jobstream.cli.options import json_option, view_of
from jobstream.cli.output import remark
from jobstream.cli.value_types import LIMIT_RATE
from jobstream.errors import ConfigError
from jobstream_processors.core.limit_rule import Limit, check_spans
from jobstream_processors.core.orders import SET_LIMIT
from jobstream_processors.errors import InvalidOption

if TYPE_CHECKING:
    from jobstream.cli.app_name import AppName
    from jobstream.operate.view import AppView


@click.group("limit", cls=AppGroup)
def limit_command() -> None:
    """Change the numbers of a limit, or leave it to the code again.

    NAME is TYPE/rate or TYPE/concurrency, with /FIELD behind it for a limit with per=, as in
    sync/rate/customer_id. The entry wins over the code, and over a deploy, until it ends.
    """


@limit_command.command("set")
@click.argument("name", metavar="NAME")
@click.option(
    "--rate", metavar="RATE", type=LIMIT_RATE, help="Starts in a time, as in 50/m or 20/10s."
)
@click.option("--burst", type=int, help="How many may start at once, with --rate.")
@click.option("--concurrency", type=int, help="How many may run at once.")
@wait_options
@entry_options("24h")
@json_option
def set_command(
    app: AppName,
    *,
    name: str,
    rate: str | None,
    burst: int | None,
    concurrency: int | None,
    wait_s: float,
    as_json: bool,
    **said: str | None,
) -> int:
    """Let a limit have other numbers. Running jobs go on; what waits is looked at again.

    Jobs on the delay ladder keep the moment that they were promised, and come back then. A rate
    that must be remembered for longer than the dedup window is refused. Without the code, which
    knows the type's queue, it is refused if no queue has such a window, and a
    remark names the queues that have not.
    """
    from jobstream.cli.loading import load_app  # noqa: PLC0415 - not needed for --help
    from jobstream.limit_control import limit_numbers  # noqa: PLC0415 - as above

    view = view_of(app)
    jobs = load_app(app).jobs.values() if app.has_code else ()
    numbers = limit_numbers(name, rate, burst, concurrency, jobs)
    job_type = name.partition("/")[0]
    _known_type(view, job_type)
    if rate is not None and not app.has_code:
        _fits_a_window(view, name, rate, burst)
    tell_entry(view, SET_LIMIT, name, said, numbers, as_json=as_json)
    return confirm(view, SET_LIMIT, name, wait_s)


@limit_command.command("release")
@click.argument("name", metavar="NAME")
@wait_options
@json_option
def release_command(app: AppName, *, name: str, wait_s: float, as_json: bool) -> int:
    """Let a limit have the numbers of the code again."""
    return release_entry(app, SET_LIMIT, name, wait_s, as_json=as_json)


def _known_type(view: AppView, job_type: str) -> None:
    """Refuse a type that the app does not have: a typing error must not pass for a limit."""
    from jobstream.operate.name_check import unknown_type  # noqa: PLC0415 - as above

    view.queues()
    known = view.catalogue.job_types()
    if job_type not in known:
        raise unknown_type(view.app, job_type, known)


def _fits_a_window(view: AppView, name: str, rate: str, burst: int | None) -> None:
    """Refuse a rate that no queue of the app can remember; say so of one that some can't.

    Which queue the type is on, only the code knows: the windows are read off the topics of rows.
    """
    from jobstream.topics.specs import dedup_window_ms  # noqa: PLC0415 - not needed for --help

    queues = [queue for queue in view.queues() if queue.dedup]
    kept_ms = view.cluster.retention_ms(queue.dedup for queue in queues)
    fields = name.partition("#")[0].split("/")[2:]
    told = Limit(rate=rate, burst=burst, per=tuple(fields[0].split("+")) if fields else None)
    refused: dict[str, str] = {}
    for queue in queues:
        window_ms = dedup_window_ms(kept_ms.get(queue.dedup, -1))
        try:
            check_spans([told], queue.counts.get(queue.topic, 1), window_ms)
        except InvalidOption as error:
            refused[queue.name] = str(error)
    if refused and len(refused) == len(queues):
        message = f"limit {name!r}: {next(iter(refused.values()))}"
        raise ConfigError(message)
    for queue_name, reason in refused.items():
        remark(f"if {name.partition('/')[0]} is on queue {queue_name}: {reason}")
