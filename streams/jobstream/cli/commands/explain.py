"""`jobstream explain`: why a job does not run, or how it ended, in one sentence. Needs no code."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from jobstream.cli.app_command import AppCommand
from jobstream.cli.control_text import TIMES, document
from jobstream.cli.job_lookup import look_up, lookup_options, no_trace
from jobstream.cli.options import json_option, or_ours
from jobstream.cli.output import iso, print_json, say
from jobstream.cli.printable import one_line
from jobstream.exits import OK
from jobstream.operate.process_answers import workers_here
from jobstream.operate.why_words import asked_of, made_by, of_job, sentence

if TYPE_CHECKING:
    from jobstream.cli.app_name import AppName
    from jobstream.operate.history import History
    from jobstream.operate.why import Why


@click.command(cls=AppCommand)
@lookup_options
@json_option
def command(
    app: AppName, *, queue: str | None, job_id: str, since: str | None, as_json: bool
) -> int:
    """Say in one sentence where a job stands and what it waits for, or how it ended.

    It reads the log as `job show` does, and takes the beginning of an id, too. What cannot be known
    from outside is left out: only workers on this machine are asked whether they run the job. Where
    jobs are ahead of it, it looks twice, two seconds apart, to estimate how long they take. The
    exit code is 1 if the log has no such job.
    """
    from jobstream.operate.why import why  # noqa: PLC0415 - loads the Kafka client

    view, now_ms, whole, found = look_up(app, job_id, queue, since)
    at_ms = or_ours(now_ms)
    told = why(view, found, view.orders(at_ms), at_ms)
    if told is None:
        return no_trace(job_id, found)
    answers = workers_here(view)
    run = of_job(answers, "runs", whole)
    held = of_job(answers, "waiting_jobs", whole) if run is None else None
    asked = asked_of(answers)
    text = one_line(
        sentence(
            whole,
            found.event,
            told,
            run,
            held,
            made_by=made_by(found, TIMES),
            asked=asked,
            times=TIMES,
        ),
        None,
    )
    if as_json:
        workers = {"asked": asked.workers, "members": told.workers}
        print_json(_document(found, told, run, held) | {"workers": workers, "sentence": text})
    else:
        say(text)
    return OK


def _document(
    found: History, told: Why, run: dict[str, Any] | None, held: dict[str, Any] | None
) -> dict[str, Any]:
    from jobstream.control_listing import shown  # noqa: PLC0415 - not needed for --help

    detail, ahead = told.told.detail, told.ahead
    waits, since_ms = detail.get("waits"), detail.get("waits_since_ms")
    if held is not None:
        waits, since_ms = held["for"], held["since_ms"]
    by = run if run is not None else held
    return {
        "id": found.job_id,
        "type": found.event.job_type if found.event else None,
        "queue": told.told.queue,
        "schedule": found.schedule or None,
        "scheduled_for": iso(found.tick_ms) if found.tick_ms is not None else None,
        "state": "running" if run is not None else found.state,
        "since": iso(told.told.at_ms),
        "attempt": told.attempt if run is None else run["attempt"],
        "rung": detail.get("rung"),
        "due_at": iso(told.due_ms) if told.due_ms is not None else None,
        "waits": waits,
        "waits_since": iso(since_ms) if since_ms is not None else None,
        "ahead": None
        if ahead is None
        else {"jobs": ahead.jobs, "of_key": ahead.of_key, "seconds": ahead.seconds},
        "worker": by["worker"] if by is not None else None,
        "orders": [document(shown(order)) for order in told.orders],
        "same_unique": told.same_unique,
        "breakers": [document(shown(order)) for order in told.breakers],
    }
