"""The tasks of the shop, as Django has them; a worker imports them by name."""

from __future__ import annotations

from typing import Any

from examples.django_service.models import Order

from jobstream.django.tasks_api import tasks

# Where Django is 6 or newer: from django.tasks import task
task = tasks.task


@task(takes_context=True)
def send_receipt(context: Any, order_id: str) -> None:  # noqa: ANN401 - Django's, which has no types
    """Send it; this example only writes down that it was sent."""
    Order.objects.filter(id=order_id).update(mailed_by=context.task_result.id)
