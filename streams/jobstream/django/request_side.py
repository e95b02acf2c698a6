"""What a Django project has for its requests: answers to refused enqueues, and a job's status."""

from __future__ import annotations

from typing import TYPE_CHECKING

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.http import HttpResponse, JsonResponse

from jobstream.django.project_app import kept_jobs, project_app
from jobstream.django.task_results import overriding
from jobstream.services.job_status import status
from jobstream.services.refusals import ANSWERED, refusal_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.http import HttpRequest


class JobRefusals:
    """Middleware: what an enqueue raises in a view becomes a problem document (RFC 9457).

    QueueFull 429 and a broker that is away 503, both with Retry-After; WrongArgs 422, JobTooLarge
    413, EnqueueVetoed 403, MiddlewareFailed 500. Each is logged. Put it last in MIDDLEWARE, nearest
    to the view.
    """

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response
        if iscoroutinefunction(get_response):
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Let others answer."""
        return self._get_response(request)

    def process_exception(self, _: HttpRequest, error: Exception) -> HttpResponse | None:
        """Answer for a view that raised; None for what is not ours."""
        if not isinstance(error, ANSWERED):
            return None
        refused = refusal_of(error)
        return HttpResponse(refused.body, status=refused.status, headers=dict(refused.headers))


def job_status(_: HttpRequest, job_id: str) -> HttpResponse:
    """A view: how a job of JOBSTREAM_APP stands, as JSON; `path("jobs/<str:job_id>", job_status)`.

    Guard it by your own decorator: an id that is made from an idempotency key can be guessed.
    """
    lookup = overriding() or kept_jobs(project_app())
    try:
        shown = status(lookup, job_id).document()
    except ANSWERED as error:
        refused = refusal_of(error)
        return HttpResponse(refused.body, status=refused.status, headers=dict(refused.headers))
    return JsonResponse(shown, headers={"Cache-Control": "no-store"})
