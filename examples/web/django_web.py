"""Orders over HTTP, with Django: settings, middleware, views and URLs in one file."""

import atexit
import json

import django
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.db import transaction
from django.http import HttpRequest, JsonResponse
from django.urls import path
from django.views.decorators.http import require_POST

from .jobs import Receipt, app, send_receipt

LENGTH_MAX = 128
settings.configure(
    ALLOWED_HOSTS=["localhost", "testserver"],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    INSTALLED_APPS=["jobstream.django"],
    JOBSTREAM_APP=app,  # in a settings file: "shop.jobs:app"
    MIDDLEWARE=["jobstream.django.JobRefusals"],
    ROOT_URLCONF=__name__,
)
django.setup()
atexit.register(app.close)

from jobstream.django import enqueue_on_commit, job_status  # noqa: E402 - after settings


def take_order(request: HttpRequest) -> JsonResponse:
    """Enqueue after the commit: no job may start before its rows can be read."""
    try:
        order = json.loads(request.body)
    except ValueError:
        return JsonResponse({"detail": "the body is no JSON"}, status=400)
    if not (isinstance(order, dict) and _is_text(order.get("id"), order.get("email"))):
        return JsonResponse({"detail": "an order has an id and an email"}, status=422)
    with transaction.atomic():
        # The rows of the order are written here.
        enqueue_on_commit(
            send_receipt,
            Receipt(order["id"], order["email"]),
            idempotency_key=order["id"],
            correlation_id=_request_id(request),
        )
    return JsonResponse({"order": order["id"]}, status=202)


async def send_again(request: HttpRequest, order_id: str) -> JsonResponse:
    """An `async def` view awaits `aenqueue`: `enqueue` would hold the event loop."""
    email = request.GET.get("email")
    if not _is_text(order_id, email):
        return JsonResponse({"detail": "give an email"}, status=422)
    receipt = Receipt(order_id, email)
    job = await send_receipt.aenqueue(receipt, correlation_id=_request_id(request))
    return JsonResponse({"job_id": job.job_id}, status=202)


def _is_text(*given: object) -> bool:
    return all(isinstance(text, str) and 0 < len(text) <= LENGTH_MAX for text in given)


def _request_id(request: HttpRequest) -> str | None:
    given = request.headers.get("X-Request-ID")
    return given[:LENGTH_MAX] if given else None


urlpatterns = [
    path("orders", require_POST(take_order)),
    path("orders/<str:order_id>/receipts", require_POST(send_again)),
    path("jobs/<str:job_id>", job_status),
]
application = get_wsgi_application()
