"""What the forms of the pages do: each form is one call of the API, made by the API's own function.

A form's fields become the path and the body of that call, checked as a body is; then the browser is
led back, and the next page says what was done, or why it was not.
"""

from __future__ import annotations

import re
from dataclasses import fields
from typing import TYPE_CHECKING, Any, get_type_hints

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from jobstream.acting.operations import OperationNow
from jobstream.web.api_acts import ACTS
from jobstream.web.api_jobs import JOB_CALLS
from jobstream.web.api_letters import LETTER_CALLS
from jobstream.web.api_route import Call, Reply
from jobstream.web.entry_check import admit, require
from jobstream.web.pages.fix_pages import changes_of, show_again
from jobstream.web.pages.form import BACK, FORM_TOKEN, form_of, with_form_token
from jobstream.web.pages.letter_notices import notice_of, place_after
from jobstream.web.pages.notices import Notice, tell
from jobstream.web.pages.page_paths import Places
from jobstream.web.pages.page_serving import around, error_page
from jobstream.web.pages.rendering import respond
from jobstream.web.problems import Problem, problem_of
from jobstream.web.request_parts import read_body

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from jobstream.web.api_route import ApiRoute
    from jobstream.web.callers import Caller
    from jobstream.web.desk import Desk

SAID: Mapping[str, str] = {
    "/queues/{queue}/pause": "Queue {queue} is paused: no more of its jobs start.",
    "/queues/{queue}/resume": "Queue {queue} goes on.",
    "/types/{type}/pause": "Type {type} is paused: no more of its jobs start.",
    "/types/{type}/resume": "Type {type} goes on.",
    "/jobs/{job_id}/cancel": "The order to cancel job {job_id} is in force.",
    "/jobs/{job_id}/uncancel": "The order to cancel job {job_id} is taken back.",
    "/jobs/cancel-many": "The jobs are being cancelled.",
    "/workers/quiet": "Worker {worker} takes no more jobs.",
    "/workers/unquiet": "Worker {worker} takes jobs again.",
    "/workers/drain": "Worker {worker} drains and leaves.",
    "/breakers/hold": "Breaker {name} is held.",
    "/breakers/release": "Breaker {name} is left to the workers.",
    "/limits/set": "Limit {name} has other numbers.",
    "/limits/release": "Limit {name} is as in the code again.",
    "/schedules/{schedule}/run": "Schedule {schedule} fires once, now.",
    "/schedules/{schedule}/pause": "Schedule {schedule} is paused.",
    "/schedules/{schedule}/resume": "Schedule {schedule} goes on.",
    "/dead-letters/redrive": "The letters are being redriven.",
    "/dead-letters/discard": "The letters are being discarded.",
    "/dead-letters/try": "One letter was tried.",
    "/dead-letters/fix": "The corrected job is on its queue.",
    "/operations/{operation}/stop": "The operation stops after what it does now.",
}
"""Path of a call that a form may make → what it did, when it did."""
_IN_PATH = re.compile(r"\{(\w+)\}")
CALLS: Mapping[str, ApiRoute] = {
    _IN_PATH.sub("", route.path).replace("//", "/"): route
    for route in (*ACTS, *JOB_CALLS, *LETTER_CALLS)
    if route.path in SAID
}
"""Those calls by their path, as in `/queues/pause`: what is in the path, a form has in a field."""
FIX = "/dead-letters/fix"
NOTHING: Mapping[str, Any] = {}
_WHOLE = re.compile(r"-?\d{1,9}")


def act_of(desk: Desk) -> Callable[[Request], Awaitable[Response]]:
    """The function that takes the forms."""

    async def act(request: Request) -> Response:
        request.state.route = "page_act"
        caller: Caller | None = None
        try:
            form = await form_of(request)
            checked = with_form_token(desk, request, form)
            caller = admit(desk, checked)
            request.state.caller = caller.name
            route = _call_named(request.path_params["call"])
            require(caller, route.needs)
        except Exception as error:  # noqa: BLE001 - every end of a request is an answer
            return error_page(desk, request, error, caller)
        try:
            loose = await changes_of(desk, caller, form) if route.path == FIX else {}
            found = await route.run(call_of(desk, request, caller, route, form, loose=loose))
        except Exception as error:  # noqa: BLE001 - as above
            return await _refused(desk, request, caller, error, route=route, form=form)
        answer = found.answer if isinstance(found, Reply) else found
        if isinstance(answer, OperationNow):
            target = Places.of(request).to("operations", answer.id)
            return RedirectResponse(target, 303, {"Cache-Control": "no-store"})
        said = notice_of(answer) or Notice(SAID[route.path].format_map(_Texts(form)))
        return _back(desk, request, form, said, place_after(Places.of(request), answer))

    return act


async def _refused(
    desk: Desk,
    request: Request,
    caller: Caller,
    error: Exception,
    *,
    route: ApiRoute,
    form: Mapping[str, str],
) -> Response:
    """Back to where the form was, with the reason; a long form is shown again with its texts."""
    problem = problem_of(error)
    if problem is None:
        return error_page(desk, request, error, caller)
    if route.path == FIX:
        try:
            page = await show_again(desk, caller, form, problem.detail)
        except Exception as again:  # noqa: BLE001 - its letter is not open any more, say
            return error_page(desk, request, again, caller, "letters")
        return respond(request, page, around(desk, caller, form.get(FORM_TOKEN, ""), "letters"))
    return _back(desk, request, form, Notice(f"Not done: {problem.detail}", is_wrong=True))


def _call_named(path: str) -> ApiRoute:
    found = CALLS.get(f"/{path}")
    if found is None:
        raise Problem(404, "not-there", f"no act {path!r:.100}")
    return found


def call_of(
    desk: Desk,
    request: Request,
    caller: Caller,
    route: ApiRoute,
    form: Mapping[str, str],
    *,
    loose: Mapping[str, Any] = NOTHING,
) -> Call:
    """The call of the API that a form is; raises Problem for a field that is wrong."""
    path = {name: form.get(name, "") for name in _IN_PATH.findall(route.path)}
    if missing := [name for name, text in path.items() if not text]:
        raise Problem(422, "wrong-form", f"field {missing[0]!r} is missing")
    body = read_body(route.body, _document(route.body, form)) if route.body is not None else None
    made = Request({**request.scope, "path_params": path}, request.receive)
    return Call(desk, made, caller, None, body, request.state.correlation_id, loose)


def _document(body: type, form: Mapping[str, str]) -> dict[str, Any]:
    """The body as JSON has it: fields that are empty are left out."""
    hints = get_type_hints(body)
    found: dict[str, Any] = {}
    for each in fields(body):
        text = form.get(each.name, "").strip()
        if text:
            found[each.name] = _json_of(text, hints[each.name])
    return found


def _json_of(text: str, hint: Any) -> Any:  # noqa: ANN401 - any hint, any JSON
    if hint is bool:
        return {"true": True, "false": False}.get(text, text)
    if hint in {int, int | None}:
        return int(text) if _WHOLE.fullmatch(text) else text
    if hint == tuple[str, ...]:
        return text.split()
    return text


class _Texts(dict[str, str]):
    """The fields of a form for what is said; short, and never an error."""

    def __missing__(self, name: str) -> str:
        return ""

    def __getitem__(self, name: str) -> str:
        return super().__getitem__(name)[:100]


def _back(
    desk: Desk, request: Request, form: Mapping[str, str], notice: Notice, after: str = ""
) -> Response:
    places = Places.of(request)
    back = after or form.get(BACK, "")
    target = back if places.is_ours(back) else places.to()
    answer = RedirectResponse(target, 303, {"Cache-Control": "no-store"})
    tell(answer, places, notice, is_secure=desk.options.is_secure)
    return answer
