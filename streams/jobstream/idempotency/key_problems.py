"""Answers of the middleware itself, as RFC 9457 problem documents. Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

IN_USE_RETRY_S = 1
AWAY_RETRY_S = 2
_TITLES = {413: "Content Too Large", 422: "Unprocessable Content"}
"""As RFC 9110 has them; Python's names of these differ from version to version."""


@dataclass(frozen=True, slots=True)
class KeyProblem:
    """An answer that is an error, ready to be sent."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    @property
    def reason(self) -> str:
        """The words beside the status."""
        return _title(self.status)


def _title(status: int) -> str:
    return _TITLES.get(status) or HTTPStatus(status).phrase


def _problem(
    status: int,
    kind: str,
    detail: str,
    *,
    retry_s: int = 0,
    **more: Any,  # noqa: ANN401 - any JSON
) -> KeyProblem:
    document = {
        "type": f"urn:jobstream:problem:{kind}",
        "title": _title(status),
        "status": status,
        "detail": detail,
        **more,
    }
    body = json.dumps(document).encode()
    headers = [("content-type", "application/problem+json"), ("content-length", str(len(body)))]
    headers += [("cache-control", "no-store")]
    if retry_s:
        headers.append(("retry-after", str(retry_s)))
    return KeyProblem(status, tuple(headers), body)


def missing(header: str) -> KeyProblem:
    """400: this request needs a key."""
    detail = (
        f"this request needs the header {header}: send a new text for each operation, such as a "
        "UUID, and the same one when you repeat the request"
    )
    return _problem(400, "idempotency-key-missing", detail)


def malformed(detail: str) -> KeyProblem:
    """400: what the header says can't be a key."""
    return _problem(400, "idempotency-key-malformed", detail)


def cut_off(told: int | None, came: int) -> KeyProblem:
    """400: the body ended before its length, or before its last chunk."""
    lack = "and no last chunk" if told is None else f"of the {told} that Content-Length says"
    detail = f"the body has {came} bytes {lack}; nothing was done"
    return _problem(400, "body-cut-off", detail)


def in_use() -> KeyProblem:
    """409: the first request still runs."""
    detail = "a request with this key is still running: repeat it, the same way, a little later"
    return _problem(409, "idempotency-key-in-use", detail, retry_s=IN_USE_RETRY_S)


def unkept(status: int, why: str) -> KeyProblem:
    """409: it was done, and its answer is gone."""
    detail = (
        f"the request with this key was carried out and answered with {status}; that answer was "
        f"not kept, since it was {why.replace('-', ' ')}. It was not carried out again"
    )
    return _problem(409, "idempotency-answer-not-kept", detail, original_status=status)


def too_large(body_max: int) -> KeyProblem:
    """413: the body is beyond the bound."""
    detail = (
        f"a request with an idempotency key may have a body of {body_max} bytes at most; nothing "
        "was done"
    )
    return _problem(413, "content-too-large", detail)


def reused(header: str) -> KeyProblem:
    """422: the key belongs to another request."""
    detail = (
        f"this {header} was used for another request: method, path, query and body must be the "
        "same when a request is repeated; another request needs a key of its own"
    )
    return _problem(422, "idempotency-key-reused", detail)


def store_away() -> KeyProblem:
    """503: it can't be known whether the key was used."""
    detail = "the store of idempotency keys does not answer; nothing was done: repeat the request"
    return _problem(503, "idempotency-store-away", detail, retry_s=AWAY_RETRY_S)


def newer_format() -> KeyProblem:
    """503: another version of the service wrote what is stored."""
    detail = "a newer version of this service knows this key; nothing was done: repeat the request"
    return _problem(503, "idempotency-key-newer", detail, retry_s=AWAY_RETRY_S)
