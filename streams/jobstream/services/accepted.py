"""The answer to a request whose work goes on as a job: 202, and where to look."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from jobstream.services.job_status import POLL_S

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jobstream.enqueue.enqueued import Enqueued

ACCEPTED = 202


def accepted_body(job: Enqueued | str, status_url: str | None) -> str:
    """The JSON of the answer for that job, or its id."""
    told: dict[str, str] = {"job_id": job if isinstance(job, str) else job.job_id}
    if status_url is not None:
        told["status_url"] = status_url
    return json.dumps(told)


def accepted_headers(status_url: str | None) -> Mapping[str, str]:
    """`Location` with the status, and when to look there, where it has one."""
    return {} if status_url is None else {"Location": status_url, "Retry-After": str(POLL_S)}
