"""How jobs of an app in memory stand, for the tests of a service that shows it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobstream.answers.errors import NoSuch
from jobstream.services.job_status import status_of
from jobstream.testing.seen import WAITING

if TYPE_CHECKING:
    from jobstream.services.job_status import JobStatus
    from jobstream.testing.memory_jobs import MemoryJobs


class MemoryLookup:
    """In place of the look into Kafka's log: `jobs_with(app, MemoryLookup(jobs))`."""

    def __init__(self, jobs: MemoryJobs) -> None:
        self._jobs = jobs

    def status(self, job_id: str) -> JobStatus:
        """As a service tells it; raises NoSuch."""
        for job in self._jobs.seen(job_id):
            return status_of(job.id, job.name, job.state, job.attempt, ended=job.state != WAITING)
        message = f"no job has the id {job_id!r:.100}"
        raise NoSuch(message)

    def close(self) -> None:
        """Nothing is held."""
