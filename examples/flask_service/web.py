"""Orders over HTTP, with Flask: each is saved, its receipt is a job, and a page shows them."""

from __future__ import annotations

import html
from typing import Any

from examples import orders
from examples.flask_service.jobs import Receipt, database, send_receipt
from flask import Flask, Response, abort, request

from jobstream.flask import Jobstream

LENGTH_MAX = 128
jobs = Jobstream(status="/jobs/<job_id>")


def create_app() -> Flask:
    """The application factory; connects to nothing, so gunicorn may preload it."""
    web = Flask(__name__)
    web.config["JOBSTREAM_APP"] = "examples.flask_service.jobs:app"
    jobs.init_app(web)
    web.add_url_rule("/orders", view_func=take_order, methods=["POST"])
    web.add_url_rule("/orders/<order_id>", view_func=show_order)
    web.add_url_rule("/", view_func=page)
    return web


def take_order() -> Response | tuple[dict[str, Any], int]:
    """Save it, then enqueue. A client that had no answer repeats both: the key makes it one job."""
    order = request.get_json()
    if not (isinstance(order, dict) and _is_text(order.get("id"), order.get("email"))):
        return {"detail": "an order has an id and an email"}, 422
    with database().begin() as connection:
        orders.save(connection, order["id"], order["email"])
    receipt = Receipt(order["id"], order["email"])
    return jobs.accepted(send_receipt.enqueue(receipt, idempotency_key=order["id"]))


def show_order(order_id: str) -> dict[str, Any]:
    """The order, and by which job its receipt was sent."""
    with database().connect() as connection:
        found = orders.find(connection, order_id)
    if found is None:
        abort(404)
    return found


def page() -> str:
    """Twenty orders."""
    with database().connect() as connection:
        found = orders.newest(connection)
    rows = "".join(
        f"<tr><td>{html.escape(each['id'])}<td>{html.escape(each['mailed_by'] or 'waits')}"
        for each in found
    )
    return f"<!doctype html><title>Orders</title><table><tr><th>order<th>mailed by{rows}</table>"


def _is_text(*given: object) -> bool:
    return all(isinstance(text, str) and 0 < len(text) <= LENGTH_MAX for text in given)
