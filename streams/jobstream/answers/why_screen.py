"""Why a job stands where it stands: in one sentence, and what the sentence is made of."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from jobstream.answers.as_of import AsOf
from jobstream.answers.errors import NoSuch
from jobstream.answers.job_screen import JobRead, job_read
from jobstream.answers.moments import datetime_of
from jobstream.control_listing import ControlEntry, shown
from jobstream.errors import JobstreamError
from jobstream.operate.order_words import TimeWords
from jobstream.operate.why import RATE_S, why
from jobstream.operate.why_words import asked_of, made_by, of_job, sentence

if TYPE_CHECKING:
    from typing import Any

    from jobstream.answers.app_site import Site
    from jobstream.operate.history import History
    from jobstream.operate.why import Why

log = logging.getLogger("jobstream.answers")


@dataclass(frozen=True, slots=True)
class WhyAnswer:
    """Where a job stands and what for, or how it ended."""

    as_of: AsOf
    id: str
    type: str
    """Empty where no record of it can be read any more."""
    queue: str
    state: str
    since: datetime
    sentence: str
    """The same in words; times in UTC."""
    attempt: int
    due_at: datetime | None
    waits: str
    """What it waits for, in a word: `unique`, `rate`, `breaker` and so on; empty for none."""
    ahead: int | None
    """Unfinished jobs before it in its partition; None for one that is not on its queue."""
    ahead_of_key: int | None
    """Those of them with its order key."""
    ahead_s: float | None
    """How long they take at the rate of just now; None if nothing was finished meanwhile."""
    worker: str
    """The worker of this machine that runs it, or holds it in memory."""
    orders: tuple[ControlEntry, ...]
    same_unique: str
    """The job that has its unique key, where it waits for that."""
    workers: int | None
    """Members of the workers' group; None where it does not matter."""
    workers_asked: int
    """Workers of this machine that said what they run."""


def why_of(site: Site, job_id: str) -> WhyAnswer:
    """Why the job stands as it does; blocks while the log is read.

    That takes 2 s more where jobs are before it, for how fast they go. Raises
    NoSuch where the log has nothing of it, SourceAway and TooBusy.
    """
    held = site.kept.get(("why", job_id), lambda: _told(site, job_id, RATE_S))
    (found, _, answers), told = held.value
    if told is None:
        message = f"no trace of job {job_id!r:.100} in the log of app {site.name!r}"
        raise NoSuch(message)
    run = of_job(answers, "runs", found.job_id)
    waits = of_job(answers, "waiting_jobs", found.job_id) if run is None else None
    ahead, by = told.ahead, run or waits
    return WhyAnswer(
        as_of=held.as_of(),
        id=found.job_id,
        type=found.event.job_type if found.event is not None else "",
        queue=told.told.queue,
        state="running" if run is not None else found.state,
        since=datetime_of(told.told.at_ms),
        sentence=in_words(found, told, answers),
        attempt=told.attempt if run is None else run["attempt"],
        due_at=datetime_of(told.due_ms) if told.due_ms is not None else None,
        waits=str((waits["for"] if waits else told.told.detail.get("waits")) or ""),
        ahead=ahead.jobs if ahead is not None else None,
        ahead_of_key=ahead.of_key if ahead is not None else None,
        ahead_s=ahead.seconds if ahead is not None else None,
        worker=str(by["worker"]) if by is not None else "",
        orders=tuple(shown(order) for order in told.orders),
        same_unique=told.same_unique or "",
        workers=told.workers,
        workers_asked=asked_of(answers).workers,
    )


def in_words(found: History, told: Why, answers: list[dict[str, Any]]) -> str:
    """The sentence; `answers` are those of the workers of this machine. Pure."""
    run = of_job(answers, "runs", found.job_id)
    held = of_job(answers, "waiting_jobs", found.job_id) if run is None else None
    return sentence(
        found.job_id,
        found.event,
        told,
        run,
        held,
        made_by=made_by(found, TIMES),
        asked=asked_of(answers),
        times=TIMES,
    )


def short_why(site: Site, job_id: str) -> str:
    """The sentence without how long the jobs before it take, for which one has to wait.

    Empty where the log has nothing of it, or can't be asked: the caller has the job already.
    """
    try:
        read, told = site.kept.get(("short why", job_id), lambda: _told(site, job_id, 0.0)).value
    except JobstreamError as error:
        # Such as brokers that let this server read, and not describe groups.
        log.warning("why_not_known", extra={"job": job_id[:100], "reason": str(error)})
        return ""
    return in_words(read.history, told, read.answers) if told is not None else ""


def _told(site: Site, job_id: str, rate_s: float) -> tuple[JobRead, Why | None]:
    read = job_read(site, job_id).value
    with site.readers.one() as view:
        told = why(view, read.history, read.orders, site.now_ms, rate_s=rate_s)
    return read, told


def _moment(epoch_ms: int) -> str:
    text = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(epoch_ms // 1_000))
    return f"{text}.{epoch_ms % 1_000:03d} UTC"


def _span(seconds: float) -> str:
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.1f} s"


TIMES = TimeWords(_moment, _span)
