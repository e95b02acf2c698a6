"""Orders over HTTP, with Flask. Each one enqueues a job before it is answered."""

from typing import Any

from flask import Flask, Response, request

from jobstream.flask import Jobstream

from .jobs import Receipt, app, send_receipt

LENGTH_MAX = 128
web = Flask(__name__)
jobs = Jobstream(web, app=app, status="/jobs/<job_id>")


@web.post("/orders")
def take_order() -> Response | tuple[dict[str, Any], int]:
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
    return jobs.accepted(job)


def _is_text(*given: object) -> bool:
    return all(isinstance(text, str) and 0 < len(text) <= LENGTH_MAX for text in given)
