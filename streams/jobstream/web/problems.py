"""Errors as RFC 9457 problem documents: which value is wrong, and what to do about it.

Every error that a request can lead to has its status here. What is unforeseen is a 500, and so is a
fault in the app's own code: its cause is in the log, never in the answer.
"""

from __future__ import annotations

import math
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from jobstream.acting.expected import MoreThanExpected
from jobstream.answers.errors import NoSuch, SourceAway, TooBusy
from jobstream.errors import (
    BrokerRefused,
    BrokerUnavailable,
    ConfigError,
    EnqueueError,
    EnqueueVetoed,
    JobTooLarge,
    MiddlewareFailed,
    QueueFull,
    TopicError,
    WrongArgs,
)
from jobstream.operate.errors import InspectError, LookTooLong, NotThere, ReadStalled
from jobstream_processors.errors import InvalidOption, PublishFailed, TableUnavailable

if TYPE_CHECKING:
    from collections.abc import Mapping

MEDIA_TYPE = "application/problem+json"
DETAIL_CHARS_MAX = 4_000
AWAY_RETRY_S = 2
OWN_FAULT = 500


_KINDS: tuple[tuple[type[Exception], int, str, float], ...] = (
    (QueueFull, 429, "queue-full", 1.0),
    (JobTooLarge, 413, "job-too-large", 0),
    (WrongArgs, 422, "wrong-args", 0),
    (EnqueueVetoed, 403, "vetoed", 0),
    (MiddlewareFailed, 500, "middleware-failed", 0),
    (ConfigError, 422, "refused", 0),
    (InvalidOption, 422, "refused", 0),
    (NoSuch, 404, "not-there", 0),
    (NotThere, 404, "not-there", 0),
    (TooBusy, 503, "busy", 1.0),
    (LookTooLong, 422, "look-too-long", 0),
    (TopicError, 503, "topics", 30.0),
    (SourceAway, 503, "broker-away", AWAY_RETRY_S),
    (BrokerUnavailable, 503, "broker-away", AWAY_RETRY_S),
    (ReadStalled, 503, "broker-away", AWAY_RETRY_S),
    (TableUnavailable, 503, "broker-away", AWAY_RETRY_S),
    (PublishFailed, 503, "broker-away", AWAY_RETRY_S),
    (BrokerRefused, 502, "broker-refused", 0),
    (MoreThanExpected, 409, "more-than-expected", 0),
    (InspectError, 409, "conflict", 0),
)
"""Class of an error, its status, its kind, and the seconds after which a repeat may help; 0: none.

The first one that fits counts.
"""


class Problem(Exception):
    """An answer that is an error; raised anywhere below a route."""

    def __init__(
        self,
        status: int,
        kind: str,
        detail: str,
        *,
        headers: Mapping[str, str] | None = None,
        **more: Any,  # noqa: ANN401 - any JSON
    ) -> None:
        """`kind` is the last part of the problem's type; `more` goes into the document."""
        super().__init__(detail)
        self.status = int(status)
        self.kind = kind
        self.detail = detail[:DETAIL_CHARS_MAX]
        self.headers = dict(headers or {})
        self.more = more

    def document(self, instance: str | None = None) -> dict[str, Any]:
        """The document; `instance` is the correlation id, if any, by which the log has more."""
        named = {} if instance is None else {"instance": f"urn:jobstream:request:{instance}"}
        return {
            "type": f"urn:jobstream:problem:{self.kind}",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.detail,
            **named,
            **self.more,
        }


def retry_after(seconds: float) -> dict[str, str]:
    """The header that says when to come back, in whole seconds."""
    return {"Retry-After": str(max(1, math.ceil(min(seconds, 3600))))}


def problem_of(error: Exception) -> Problem | None:
    """The problem that an error is; None for one that nobody foresaw."""
    if isinstance(error, Problem):
        return error
    for cls, status, kind, retry_s in _KINDS:
        if isinstance(error, cls):
            seconds = getattr(error, "retry_after", retry_s)
            headers = retry_after(seconds) if retry_s else {}
            told = getattr(error, "may_be_written", None)
            more = {} if told is None else {"may_be_written": told}
            if isinstance(error, MoreThanExpected):
                more["count"] = error.found
            return Problem(status, kind, shown(error), headers=headers, **more)
    return _unsent(error) if isinstance(error, EnqueueError) else None


def shown(error: Exception) -> str:
    """What a client may read of the error: a fault of the app's code is a matter of its log."""
    if isinstance(error, MiddlewareFailed):
        return "a middleware of this service failed, so nothing was written; its log has the cause"
    return str(error)


def _unsent(error: EnqueueError) -> Problem:
    if error.may_be_written:
        fix = "it may be in the log: repeat it with the same Idempotency-Key"
    else:
        fix = "nothing was written: repeat it"
    return Problem(
        503,
        "not-acknowledged",
        f"{error}; {fix}",
        headers=retry_after(AWAY_RETRY_S),
        may_be_written=error.may_be_written,
    )
