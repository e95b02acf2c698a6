"""Runs one route of the API for one request: lets it in, reads it, answers it, or tells why not."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from starlette.responses import Response

from jobstream.web.api_route import Call, Reply
from jobstream.web.documents import as_json
from jobstream.web.entry_check import admit, require
from jobstream.web.problems import MEDIA_TYPE, OWN_FAULT, Problem, problem_of
from jobstream.web.request_parts import body_of, read_body, read_query

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.requests import Request

    from jobstream.web.api_route import ApiRoute
    from jobstream.web.desk import Desk

log = logging.getLogger("jobstream.web")

JSON = "application/json"


def endpoint_of(desk: Desk, route: ApiRoute) -> Callable[[Request], Awaitable[Response]]:
    """The function that the router calls for the route."""

    async def respond(request: Request) -> Response:
        request.state.route = route.name
        request.state.goes_on = route.goes_on or "wait" in request.query_params
        try:
            return await _run(desk, route, request)
        except Exception as error:  # noqa: BLE001 - every end of a request is an answer
            return answer_to(error, request)

    respond.__name__ = route.name
    return respond


async def _run(desk: Desk, route: ApiRoute, request: Request) -> Response:
    caller = admit(desk, request)
    request.state.caller = caller.name
    require(caller, route.needs)
    body: Any = None
    loose: dict[str, Any] = {}
    if route.body is not None or route.takes_json:
        body = await body_of(request, desk.options.body_bytes_max)
        loose, body = _loose(route, body)
        if route.body is not None:
            body = read_body(route.body, body)
    query = read_query(route.query, request.query_params)
    call = Call(desk, request, caller, query, body, request.state.correlation_id, loose)
    found = await route.run(call)
    reply = found if isinstance(found, Reply) else Reply(found)
    if isinstance(reply.answer, Response):
        return reply.answer
    headers = {"Cache-Control": "no-store", **_age(reply.answer), **reply.headers}
    status = reply.status or route.status
    if reply.answer is None or status == 204:  # noqa: PLR2004 - its name: No Content
        return Response(None, 204, headers)
    return Response(as_json(reply.answer), status, headers, JSON)


def _loose(route: ApiRoute, body: Any) -> tuple[dict[str, Any], Any]:  # noqa: ANN401 - any JSON
    """The fields that may hold any object, and the rest of the body; raises Problem."""
    if not route.loose or not isinstance(body, dict):
        return {}, body
    found = {name: body[name] for name in route.loose if name in body}
    for name, value in found.items():
        if not isinstance(value, dict):
            raise Problem(422, "wrong-body", f"body.{name}: give an object, with values by field")
    return found, {name: value for name, value in body.items() if name not in found}


def answer_to(error: Exception, request: Request) -> Response:
    """The problem document of an error; one that nobody foresaw goes to the log, too."""
    correlation_id = request.state.correlation_id
    problem = problem_of(error)
    if problem is None or problem.status == OWN_FAULT:
        log.error("request_failed", extra={"correlation_id": correlation_id}, exc_info=error)
    if problem is None:
        message = f"an error of the server: its log has it as correlation_id {correlation_id}"
        problem = Problem(500, "internal", message)
    headers = {"Cache-Control": "no-store", **problem.headers}
    document = as_json(problem.document(correlation_id))
    return Response(document, problem.status, headers, MEDIA_TYPE)


def _age(answer: Any) -> dict[str, str]:  # noqa: ANN401 - any answer
    told = getattr(answer, "as_of", None)
    if told is None:
        return {}
    found = {"Age": str(int(told.age_s)), "X-Jobstream-Source": told.source}
    return found | ({"X-Jobstream-Stale": "true"} if told.stale else {})
