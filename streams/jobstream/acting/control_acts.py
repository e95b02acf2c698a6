"""Acts that are control entries: pause, cancel, quiet, drain, and so on. All end by themselves.

Each call blocks until the brokers have acknowledged the entry; workers act on it within 2 seconds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobstream.acting.act_record import audited
from jobstream.answers.errors import NoSuch
from jobstream.limit_control import limit_numbers
from jobstream.operate.name_check import unknown_type
from jobstream.operate.near_names import close_first, listed
from jobstream_processors.core.orders import (
    CANCEL,
    DRAIN,
    HOLD_BREAKER,
    NO_LIMITS,
    OPEN,
    PAUSE_QUEUE,
    PAUSE_TYPE,
    QUIET,
    SET_LIMIT,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jobstream.acting.act_record import ActedBy
    from jobstream.answers.app_site import Site
    from jobstream.control_listing import ControlEntry

NAMES_MAX = 20


def pause_queue(site: Site, by: ActedBy, queue: str, for_: str | None) -> ControlEntry:
    """Start no more jobs of a queue; raises NoSuch for an unknown one, and as `Control` does."""
    _require_queue(site, queue)
    return _tell(site, by, PAUSE_QUEUE, queue, for_)


def resume_queue(site: Site, by: ActedBy, queue: str) -> None:
    """End the pause of a queue; harmless if there is none."""
    _require_queue(site, queue)
    _lift(site, by, PAUSE_QUEUE, queue)


def pause_type(site: Site, by: ActedBy, job_type: str, for_: str | None) -> ControlEntry:
    """Start no more jobs of a type."""
    _require_type(site, job_type)
    return _tell(site, by, PAUSE_TYPE, job_type, for_)


def resume_type(site: Site, by: ActedBy, job_type: str) -> None:
    """End the pause of a type; harmless if there is none."""
    _require_type(site, job_type)
    _lift(site, by, PAUSE_TYPE, job_type)


def cancel(site: Site, by: ActedBy, job_id: str, for_: str | None = None) -> ControlEntry:
    """Cancel a job by its whole id, which is not looked for: it may be enqueued later."""
    entry = _tell(site, by, CANCEL, job_id, for_)
    site.kept.forget(("job", job_id))
    return entry


def uncancel(site: Site, by: ActedBy, job_id: str) -> None:
    """End the order to cancel a job; one that has ended as cancelled stays so."""
    _lift(site, by, CANCEL, job_id)


def quiet(site: Site, by: ActedBy, worker: str, for_: str | None) -> ControlEntry:
    """Let a worker, `host:pid` or `host:*`, start no new jobs."""
    return _tell(site, by, QUIET, worker, for_)


def unquiet(site: Site, by: ActedBy, worker: str) -> None:
    """Let it start jobs again; `worker` exactly as it was given to `quiet`."""
    _lift(site, by, QUIET, worker)


def drain(site: Site, by: ActedBy, worker: str) -> ControlEntry:
    """Let a worker, `host:pid` or `host:*`, drain and leave; raises ConfigError for `*` alone."""
    return _tell(site, by, DRAIN, worker, None)


def hold_breaker(
    site: Site, by: ActedBy, name: str, *, is_open: bool, for_: str | None
) -> ControlEntry:
    """Hold a breaker open or closed; with the app's code, raises NoSuch for an unknown one."""
    _require_named(site, "breaker", name, set(site.app.breakers))
    return _tell(site, by, HOLD_BREAKER, name, for_, limits={OPEN: int(is_open)})


def release_breaker(site: Site, by: ActedBy, name: str) -> None:
    """Leave a breaker to the workers again."""
    _lift(site, by, HOLD_BREAKER, name)


def set_limit(
    site: Site,
    by: ActedBy,
    name: str,
    *,
    rate: str | None = None,
    burst: int | None = None,
    concurrency: int | None = None,
    for_: str | None = None,
) -> ControlEntry:
    """Let a limit have other numbers; raises ConfigError for what could not be declared."""
    known = {each for job in site.app.jobs.values() for each in job.limits_by_name}
    _require_named(site, "limit", name, known)
    jobs = site.app.jobs.values() if site.has_code else ()
    numbers = limit_numbers(name, rate, burst, concurrency, jobs)
    return _tell(site, by, SET_LIMIT, name, for_, limits=numbers)


def release_limit(site: Site, by: ActedBy, name: str) -> None:
    """Let a limit have the numbers of the code again."""
    _lift(site, by, SET_LIMIT, name)


def _tell(
    site: Site,
    by: ActedBy,
    kind: str,
    subject: str,
    for_: str | None,
    *,
    limits: Mapping[str, int] = NO_LIMITS,
) -> ControlEntry:
    with audited(by, kind, subject) as more:
        entry = site.app.control.tell(
            kind, subject, why=by.why, for_=for_, who=by.who, limits=limits
        )
        more["until"] = entry.expires_at.isoformat()
        return entry


def _lift(site: Site, by: ActedBy, kind: str, subject: str) -> None:
    with audited(by, f"end {kind}", subject):
        site.app.control.lift(kind, subject)


def _require_queue(site: Site, queue: str) -> None:
    if queue in site.app.queues:
        return
    taken, _ = site.look.now()
    if queue not in taken.sight.queues:
        there = listed(close_first(queue, taken.sight.queues), NAMES_MAX) or "none"
        message = f"app {site.name!r} has no queue {queue!r:.100}; it has: {there}"
        raise NoSuch(message)


def _require_type(site: Site, job_type: str) -> None:
    if job_type in site.app.jobs_by_name or job_type in (known := site.known_types()):
        return
    raise NoSuch(str(unknown_type(site.name, job_type[:100], known)))


def _require_named(site: Site, what: str, name: str, known: set[str]) -> None:
    if site.has_code and name not in known:
        there = listed(close_first(name, known), NAMES_MAX) or "none"
        message = f"app {site.name!r} has no {what} {name!r:.100}; it has: {there}"
        raise NoSuch(message)
