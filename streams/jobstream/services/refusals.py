"""What a service answers where an enqueue, or a look at a job, was refused.

The same statuses and documents as those of the HTTP API of `jobstream web`.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass

from jobstream.answers.errors import AnswerError
from jobstream.errors import BrokerUnavailable, EnqueueError
from jobstream.web.problems import MEDIA_TYPE, OWN_FAULT, problem_of

log = logging.getLogger("jobstream.services")

ANSWERED: tuple[type[Exception], ...] = (EnqueueError, AnswerError, BrokerUnavailable)
"""The errors that have an answer. Any other one is an error of the program: a 500 of its own."""


@dataclass(frozen=True, slots=True)
class RefusalAnswer:
    """An HTTP answer: a problem document as of RFC 9457."""

    status: int
    headers: Mapping[str, str]
    body: str


def refusal_of(error: Exception) -> RefusalAnswer:
    """The answer for one of `ANSWERED`; any other error is raised again. Logs what it answers."""
    problem = problem_of(error) if isinstance(error, ANSWERED) else None
    if problem is None:
        raise error
    told = {"status": problem.status, "reason": str(error), "error": type(error).__name__}
    is_fault = problem.status == OWN_FAULT
    log.log(
        logging.ERROR if is_fault else logging.WARNING,
        "request_refused",
        extra=told,
        exc_info=error if is_fault else None,
    )
    headers = {**problem.headers, "Cache-Control": "no-store", "Content-Type": MEDIA_TYPE}
    return RefusalAnswer(problem.status, headers, json.dumps(problem.document()))
