"""The views: an order is saved and its task enqueued, in one transaction."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from django.db import transaction
from django.http import HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404
from django.urls import path, reverse
from django.utils.html import format_html, format_html_join
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST
from examples.django_service.models import Order
from examples.django_service.tasks import send_receipt

from jobstream.django import job_status

if TYPE_CHECKING:
    from django.http import HttpRequest

LENGTH_MAX = 128


def take_order(request: HttpRequest) -> JsonResponse:
    """Save it and enqueue after the commit: a rolled back order has no task."""
    try:
        order = json.loads(request.body)
    except ValueError:
        return JsonResponse({"detail": "the body is no JSON"}, status=400)
    if not (isinstance(order, dict) and _is_text(order.get("id"), order.get("email"))):
        return JsonResponse({"detail": "an order has an id and an email"}, status=422)
    with transaction.atomic():
        Order.objects.get_or_create(id=order["id"], defaults={"email": order["email"]})
        result = send_receipt.enqueue(order["id"])
    url = request.build_absolute_uri(reverse("job", args=[result.id]))
    told = {"job_id": result.id, "status_url": url}
    return JsonResponse(told, status=202, headers={"Location": url})


def show_order(_: HttpRequest, order_id: str) -> JsonResponse:
    """The order, and by which job its receipt was sent."""
    order = get_object_or_404(Order, id=order_id)
    return JsonResponse(
        {"id": order.id, "email": order.email, "mailed_by": order.mailed_by or None}
    )


def show_result(_: HttpRequest, result_id: str) -> JsonResponse:
    """The result of the task, as Django tells it."""
    result = send_receipt.get_result(result_id)
    return JsonResponse({"status": result.status, "attempts": result.attempts})


def page(_: HttpRequest) -> HttpResponse:
    """Twenty orders."""
    rows = ((order.id, order.mailed_by or "waits") for order in Order.objects.all()[:20])
    table = format_html_join("", "<tr><td>{}<td>{}", rows)
    head = "<!doctype html><title>Orders</title><table><tr><th>order<th>mailed by"
    return HttpResponse(format_html(head + "{}</table>", table))


def _is_text(*given: object) -> bool:
    return all(isinstance(text, str) and 0 < len(text) <= LENGTH_MAX for text in given)


urlpatterns = [
    path("", page),
    path("orders", csrf_exempt(require_POST(take_order))),
    path("orders/<str:order_id>", show_order),
    path("results/<str:result_id>", show_result),
    path("jobs/<str:job_id>", job_status, name="job"),
]
