"""Orders over HTTP, with Flask. Each one enqueues a job before it is answered."""

import atexit
from math import ceil
from typing import Any

from flask import Flask, request

from jobstream import EnqueueTimeout, QueueFull

from .jobs import Receipt, app, send_receipt

LENGTH_MAX = 128
web = Flask(__name__)
atexit.register(app.close)


@web.errorhandler(EnqueueTimeout)
@web.errorhandler(QueueFull)
def try_again(error: Exception) -> tuple[dict[str, Any], int, dict[str, str]]:
    """Kafka is away or behind. The idempotency key makes it safe to send the order again."""
    after = ceil(getattr(error, "retry_after", 5))
    return {"detail": str(error)}, 503, {"Retry-After": str(after)}


@web.post("/orders")
def take_order() -> tuple[dict[str, Any], int]:
    """Block until Kafka has the job."""
    order = request.get_json()
    if not (isinstance(order, dict) and _is_text(order.get("id"), order.get("email"))):
        return {"detail": "an order has an id and an email"}, 422
    request_id = request.headers.get("X-Request-ID")
    job = send_receipt.enqueue(
        Receipt(order["id"], order["email"]),
        idempotency_key=order["id"],
        correlation_id=request_id[:LENGTH_MAX] if request_id else None,
    )
    return {"job_id": job.job_id}, 202


def _is_text(*given: object) -> bool:
    return all(isinstance(text, str) and 0 < len(text) <= LENGTH_MAX for text in given)
