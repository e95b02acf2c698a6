"""Views that enqueue."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.http import JsonResponse
from django.urls import path
from tests.unit.services.django_site.jobs import Note, note
from tests.unit.services.django_site.tasks import noop, noop_async

from jobstream.django import job_status

if TYPE_CHECKING:
    from django.http import HttpRequest


def enqueue(_: HttpRequest, text: str) -> JsonResponse:
    """A task, from a plain view."""
    return JsonResponse({"id": noop.enqueue(text).id})


async def aenqueue(_: HttpRequest, text: str) -> JsonResponse:
    """A task, from a view that is a coroutine."""
    return JsonResponse({"id": (await noop_async.aenqueue(text)).id})


def wrong(_: HttpRequest) -> JsonResponse:
    """A job whose args do not fit."""
    note.enqueue(Note(5))  # type: ignore[arg-type]
    return JsonResponse({})


urlpatterns = [
    path("enqueue/<str:text>", enqueue),
    path("aenqueue/<str:text>", aenqueue),
    path("wrong", wrong),
    path("jobs/<str:job_id>", job_status),
]
