"""What a client is answered where a middleware of the app refused an enqueue, or failed."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING

import pytest
from starlette.requests import Request

from jobstream.errors import EnqueueVetoed, MiddlewareFailed
from jobstream.services.refusals import refusal_of
from jobstream.web.problems import problem_of
from jobstream.web.route_run import answer_to

if TYPE_CHECKING:
    from jobstream.errors import EnqueueError

VETOED = EnqueueVetoed("middleware 'Tenants' vetoed it: acme is blocked; nothing was written")
FAILED = MiddlewareFailed("middleware 'Tenants' raised KeyError: 'secret of the server'")


@pytest.mark.parametrize(
    ("error", "status", "kind"), [(VETOED, 403, "vetoed"), (FAILED, 500, "middleware-failed")]
)
def test_what_a_middleware_raises_has_an_answer_that_no_repeat_is_asked_for(
    error: EnqueueError, status: int, kind: str
) -> None:
    problem = problem_of(error)

    assert problem is not None
    assert (problem.status, problem.kind, problem.headers) == (status, kind, {})
    assert problem.more == {"may_be_written": False}
    assert ("acme is blocked" in problem.detail) == (error is VETOED)
    assert "secret" not in problem.detail


def test_a_fault_of_a_middleware_is_in_the_log_with_its_trace(
    caplog: pytest.LogCaptureFixture,
) -> None:
    request = Request({"type": "http", "headers": []})
    request.state.correlation_id = "c-1"

    served, answered = refusal_of(FAILED), answer_to(FAILED, request)

    assert [served.status, answered.status_code] == [500, 500]
    for body in (served.body, bytes(answered.body)):
        assert json.loads(body)["type"] == "urn:jobstream:problem:middleware-failed"
    assert [record.levelno for record in caplog.records] == [logging.ERROR] * 2
    assert all(record.exc_info for record in caplog.records)
