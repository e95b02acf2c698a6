"""`jobstream jobs`: what runs, what waits, what was last. Needs no user code, changes nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from jobstream.cli.app_command import AppCommand
from jobstream.cli.control_text import about
from jobstream.cli.options import (
    LISTED_MAX,
    brokers_now,
    json_option,
    moment,
    or_ours,
    queue_option,
    tell_missing,
    view_of,
)
from jobstream.cli.output import age, iso, print_json_line, print_table, progress, remark, when
from jobstream.cli.printable import one_line
from jobstream.cli.value_types import MOMENT
from jobstream.exits import OK
from jobstream.operate.near_names import listed
from jobstream.operate.order_words import WHAT
from jobstream.operate.process_answers import held_by, workers_here
from jobstream.operate.state_names import DELAYED, RETRYING, RUNNING, STATES, WAITING
from jobstream.topics.by_queue import counted
from jobstream_processors.core.known import DEAD

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jobstream.cli.app_name import AppName
    from jobstream.operate.job_list import JobList
    from jobstream.operate.job_states import JobNow
    from jobstream_processors.core.orders import Order

LIMIT = 100
LOOK_MS = 3_600_000
"""How far back the command reads without --since."""
COLUMNS = ("id", "type", "queue", "state", "since", "age>", "attempt>", "why", "key")


@click.command(cls=AppCommand)
@click.option("--state", "states", multiple=True, type=click.Choice(STATES),
              help="List jobs in this state only; repeatable.")  # fmt: skip
@click.option("--type", "job_types", multiple=True, metavar="TYPE",
              help="List this job type only; * stands for any text; repeatable.")  # fmt: skip
@queue_option
@click.option("--since", metavar="TIME", type=MOMENT,
              help="Read records from this time on, as in 2h (2 hours ago) or 2026-01-31T12:00.  "
                   "[default: 1h, at most 200,000 records]")  # fmt: skip
@click.option("--limit", type=click.IntRange(1), metavar="N", default=LIMIT, show_default=True,
              help="List at most this many jobs.")  # fmt: skip
@json_option
def command(
    app: AppName,
    *,
    states: tuple[str, ...],
    job_types: tuple[str, ...],
    queue: str | None,
    since: str | None,
    limit: int,
    as_json: bool,
) -> int:
    """List the jobs of an app, the newest first. JSON has one object a line.

    States come from the log. Only workers on this machine are asked what they run: jobs that
    workers elsewhere run are listed as waiting.
    """
    from jobstream.operate.job_list import RECORDS_MAX, jobs_now, require_types  # noqa: PLC0415
    from jobstream.operate.job_states import Wanted  # noqa: PLC0415 - loads the Kafka client
    from jobstream.topics.names import worker_group  # noqa: PLC0415 - as above

    view = view_of(app)
    queues = view.queues(queue)
    require_types(view, job_types)
    now_ms = brokers_now(view)
    since_ms, at_ms = moment("--since", since, now_ms), or_ours(now_ms)
    bound = None if since_ms is not None else RECORDS_MAX
    began_ms = at_ms() - LOOK_MS if since_ms is None else since_ms
    workers = [answer for answer in workers_here(view) if "runs" in answer]
    running = _running(workers, at_ms(), {each.name for each in queues})
    with progress("looking for jobs") as heard:
        found = jobs_now(
            view,
            queues,
            Wanted(limit, began_ms, frozenset(states), job_types),
            running,
            most=bound,
            progress=heard,
        )
    members = len(view.cluster.members(worker_group(view.app)))
    others = members > len(workers)
    _print(found, view.orders(at_ms), at_ms(), others=others, as_json=as_json)
    _tell(found, states)
    tell_missing(app, view, queue)
    if WAITING in (states or STATES):
        _tell_of_held(workers, [each.topic for each in queues])
    if others and RUNNING in (states or STATES):
        remark(
            f"{len(workers)} of {members} workers answered: those on this machine (with this "
            "JOBSTREAM_STATE_DIR); jobs that other workers run are listed as waiting"
        )
    return OK


def _running(workers: list[dict[str, Any]], now_ms: int, queues: set[str]) -> list[JobNow]:
    """The jobs that these workers run now, by what they answered."""
    from jobstream.operate.job_states import JobNow  # noqa: PLC0415 - as above

    return [
        JobNow(
            id=run["id"],
            job_type=run["job"],
            queue=run["queue"],
            state=RUNNING,
            at_ms=now_ms - round(run["seconds"] * 1_000),
            attempt=run["attempt"],
        )
        for answer in workers
        for run in answer["runs"]
        if run["queue"] in queues
    ]


def _print(
    found: JobList, orders: Sequence[Order], now_ms: int, *, others: bool, as_json: bool
) -> None:
    told = [(job, _why(job, orders, others=others)) for job in found.jobs]
    if as_json:
        for job, why in told:
            print_json_line(_document(job, why, now_ms))
    elif told:
        print_table(COLUMNS, [_row(job, why, now_ms) for job, why in told])


def _tell(found: JobList, wanted: Sequence[str]) -> None:
    """How many there are by state, and what was looked at; none `wanted` stands for all."""
    counts = found.counts
    order = [*STATES, *sorted(counts.keys() - set(STATES))]
    told = [f"{counts[state]:,} {state}" for state in order if counts[state]]
    remark(", ".join(told) or "no jobs")
    # All includes ends that only a newer version knows: the rows name these themselves.
    meant = sum(counts[state] for state in wanted) if wanted else counts.total()
    if more := meant - len(found.jobs):
        remark(f"{more:,} more; raise --limit or narrow with --state, --type, --queue")
    looked = f"read {counted(found.records, 'record')} since {when(found.since_ms)}"
    older = f", and {found.older:,} older records may wait" if found.older else ""
    remark(f"{looked}{older}; --since looks further back")


def _tell_of_held(workers: list[dict[str, Any]], topics: Sequence[str]) -> None:
    """Say of which partitions nothing begins on this machine, and why."""
    held = {place: why for answer in workers for place, why in held_by(answer).items()}
    told = [
        f"{place} ({', '.join(why)})"
        for place, why in sorted(held.items())
        if place.rpartition(":")[0] in topics
    ]
    if told:
        remark(f"no job starts in {listed(told, LISTED_MAX, ' and')}")


def _why(job: JobNow, orders: Sequence[Order], *, others: bool) -> str:
    """Why it waits, or ended; "" of one that runs or is done. `others`: not all were asked."""
    parts = []
    if job.state in {WAITING, DELAYED, RETRYING}:
        held = about(orders, queues=[job.queue], job_types=[job.job_type], job_id=job.id)
        parts += [WHAT[entry.kind].format(entry.subject) for entry in held]
    if job.state == WAITING:
        parts.append(_before(job, others=others))
    elif job.due_ms is not None:
        parts.append(f"due {when(job.due_ms)}")
    if job.waits:
        parts.append(f"waits for its turn ({job.waits})")
    if job.awaits_code:
        parts.append("no worker has code that reads it")
    if job.reason:
        parts.append(job.reason)
    if job.error:
        parts.append(job.error if job.state == DEAD else f"failed: {job.error}")
    if job.letter_closed:
        parts.append("letter closed")
    return one_line(", ".join(parts), None)


def _before(job: JobNow, *, others: bool) -> str:
    if others and job.may_run:
        return "may be running"
    return f"{job.ahead:,} ahead of it in its partition" if job.ahead else "next in its partition"


def _row(job: JobNow, why: str, now_ms: int) -> tuple[Any, ...]:
    return (
        job.id,
        job.job_type or "?",
        job.queue,
        job.state,
        when(job.at_ms),
        age(max(0, now_ms - job.at_ms) / 1_000),
        job.attempt,
        why,
        job.key or "",
    )


def _document(job: JobNow, why: str, now_ms: int) -> dict[str, Any]:
    return {
        "id": job.id,
        "type": job.job_type or None,
        "queue": job.queue,
        "state": job.state,
        "since": iso(job.at_ms),
        "age_s": max(0, now_ms - job.at_ms) / 1_000,
        "attempt": job.attempt,
        "why": why or None,
        "due_at": iso(job.due_ms) if job.due_ms is not None else None,
        "key": job.key,
    }
