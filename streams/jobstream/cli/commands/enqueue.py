"""`jobstream enqueue`: one job, or a line of JSON each, put on its queue from a shell."""

from __future__ import annotations

import json
import logging
import sys
from datetime import datetime
from decimal import Decimal
from difflib import get_close_matches
from io import TextIOWrapper
from typing import TYPE_CHECKING, Any, TextIO

import click

from jobstream.cli.app_command import AppCommand
from jobstream.cli.hints import typed
from jobstream.cli.options import json_option
from jobstream.cli.output import print_json, print_json_line, remark, say
from jobstream.cli.value_types import LENGTH, RUN_AT
from jobstream.errors import ConfigError, EnqueuesFailed
from jobstream.exits import FAILURE, OK
from jobstream.topics.by_queue import counted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jobstream.app import App
    from jobstream.cli.app_name import AppName
    from jobstream.job import Job

STDIN = "-"
FAILURES_SHOWN = 10


@click.command(cls=AppCommand)
@click.argument("job_type", metavar="TYPE")
@click.argument("args", metavar="JSON")
@click.option(
    "--delay",
    metavar="DURATION",
    type=LENGTH,
    help="Start the job this long after the enqueue, as in 10m.",
)
@click.option(
    "--run-at",
    metavar="TIME",
    type=RUN_AT,
    help="Start the job at this time or later, as in 2026-01-31T12:00:00+01:00.",
)
@click.option(
    "--key",
    metavar="TEXT",
    help="Order key. Jobs with the same key run one at a time, in the order of their enqueues.",
)
@click.option(
    "--idempotency-key",
    metavar="TEXT",
    help="Identity of the job. Enqueues of a type with the same key are one job.",
)
@click.option(
    "--many",
    is_flag=True,
    help="Read one JSON object a line, enqueue a job for each, and print their ids.",
)
@json_option
def command(
    app: AppName,
    *,
    job_type: str,
    args: str,
    delay: str | None,
    run_at: str | None,
    key: str | None,
    idempotency_key: str | None,
    many: bool,
    as_json: bool,
) -> int:
    """Put a job of TYPE on its queue, with its args as JSON; `-` reads the JSON from stdin.

    The command returns once the brokers have acknowledged the job. A worker runs it later.
    """
    from jobstream.cli.loading import load_app  # noqa: PLC0415 - loads the Kafka client

    loaded = load_app(app)
    _leave_the_client_to_the_error()
    job = job_of(loaded, job_type)
    try:
        if many:
            if (run_at, key, idempotency_key) != (None, None, None):
                message = "--many takes --delay only; a key or a time is for one job"
                raise click.UsageError(message)
            return _enqueue_many(job, args, delay, as_json=as_json)
        done = job.enqueue(
            read_args(job, _stdin().read() if args == STDIN else args),
            delay=delay,
            run_at=_aware(run_at),
            key=key,
            idempotency_key=idempotency_key,
        )
    finally:
        loaded.close()
    if as_json:
        print_json({"job_id": done.job_id, "topic": done.topic, "partition": done.partition,
                    "offset": done.offset})  # fmt: skip
    else:
        say(done.job_id)
        remark(f"acknowledged: {done.topic} [{done.partition}] at offset {done.offset}")
        if idempotency_key:
            look = typed(f"jobstream job show MODULE:APP {done.job_id}", app)
            remark(
                f"it never runs if a job of this key has ended within the dedup window; see: {look}"
            )
    return OK


def _leave_the_client_to_the_error() -> None:
    """Keep what the Kafka client says off the screen: the one line of the error has it."""
    from jobstream.kafka.client.client_log import CLIENT_LOG  # noqa: PLC0415 - with the command only

    for handler in logging.getLogger().handlers:
        handler.addFilter(lambda record: record.name != CLIENT_LOG)


def job_of(app: App, job_type: str) -> Job[Any, Any]:
    """The job type by its name or an alias; raises ConfigError naming those there are."""
    for job in app.jobs.values():
        if job_type in {job.name, *job.aliases}:
            return job
    near = get_close_matches(job_type, app.jobs, n=1)
    meant = f"did you mean {near[0]}? " if near else ""
    there = ", ".join(sorted(app.jobs)) or "none"
    message = f"app {app.name!r} has no job type {job_type!r}; {meant}it has: {there}"
    raise ConfigError(message)


def read_args(job: Job[Any, Any], text: str, where: str = "JSON") -> Any:  # noqa: ANN401 - its args
    """The args that the text tells; raises ConfigError naming the wrong fields."""
    from jobstream.cli.args_json import args_from  # noqa: PLC0415 - with the command only

    try:
        value = json.loads(text, parse_float=Decimal)
    except ValueError as error:
        message = f"{where} can't be read: {error}; quote it for the shell, as in '{{\"id\": 1}}'"
        raise ConfigError(message) from error
    try:
        return args_from(job.codec.cls, value)
    except ConfigError as error:
        message = f"{where}: {error}" if where != "JSON" else str(error)
        raise ConfigError(message) from error


def _stdin() -> TextIO:
    """JSON in files and pipes is UTF-8, whatever the locale is."""
    if isinstance(sys.stdin, TextIOWrapper):
        sys.stdin.reconfigure(encoding="utf-8")
    return sys.stdin


def _enqueue_many(job: Job[Any, Any], text: str, delay: str | None, *, as_json: bool) -> int:
    lines = _stdin() if text == STDIN else iter(text.splitlines())

    def args() -> Iterator[Any]:
        for number, line in enumerate(lines, 1):
            if line.strip():
                yield read_args(job, line, f"line {number}")

    try:
        ids = job.enqueue_many(args(), delay=delay)
    except EnqueuesFailed as error:
        remark(f"jobstream: {error}")
        for index, failure in list(error.failures.items())[:FAILURES_SHOWN]:
            remark(f"  job {index + 1}: {failure}")
        return FAILURE
    for job_id in ids:
        if as_json:
            print_json_line({"job_id": job_id})
        else:
            say(job_id)
    remark(f"acknowledged: {counted(len(ids), 'job')}")
    return OK


def _aware(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text).astimezone()
