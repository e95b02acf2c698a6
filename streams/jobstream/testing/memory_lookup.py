"""How jobs of an app in memory stand, for the tests of a service that shows it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobstream.answers.errors import NoSuch
from jobstream.answers.moments import datetime_of
from jobstream.services.job_status import FailedRun, FoundJob
from jobstream.testing.seen import WAITING
from jobstream_schemas.record_classes import field_names

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jobstream.testing.memory_jobs import MemoryJobs


class MemoryLookup:
    """In place of the look into Kafka's log: `jobs_with(app, MemoryLookup(jobs))`."""

    def __init__(self, jobs: MemoryJobs) -> None:
        self._jobs = jobs

    def found(self, job_id: str) -> FoundJob:
        """As a service finds it; raises NoSuch."""
        for job in self._jobs.seen(job_id):
            ended = job.state != WAITING
            failed = (FailedRun(job.error, job.traceback),) if job.traceback else ()
            return FoundJob(
                id=job.id,
                type=job.name,
                state=job.state,
                has_ended=ended,
                attempt=job.attempt or len(failed) + 1,
                args=_by_name(job.args),
                enqueued_at=datetime_of(job.enqueued_ms),
                ended_at=datetime_of(self._jobs.clock.broker_ms()) if ended else None,
                began_at=None,
                runs_on="",
                failures=failed,
            )
        message = f"no job has the id {job_id!r:.100}"
        raise NoSuch(message)

    def close(self) -> None:
        """Nothing is held."""


def _by_name(args: object) -> Mapping[str, object] | None:
    if args is None:
        return None
    return {name: getattr(args, name) for name in field_names(type(args))}
