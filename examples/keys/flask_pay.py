"""Payments over HTTP, with Flask: a request that is repeated pays once."""

import os
from typing import Any

from flask import Flask, request

from jobstream.idempotency import KeyStore, WsgiIdempotency
from jobstream.sql import SqlKeyStore

from .jobs import Receipt, send_receipt

paid: list[int] = []
"""What was charged: the effect that must not happen twice."""


def payments(store: KeyStore) -> Flask:
    """Make the service."""
    web = Flask(__name__)
    web.wsgi_app = WsgiIdempotency(web.wsgi_app, store, required=True)  # type: ignore[method-assign]

    @web.post("/payments")
    def pay() -> tuple[dict[str, Any], int]:
        """Charge, and enqueue a receipt; the job's own key comes from that of the request."""
        payment = request.get_json()
        paid.append(payment["cents"])
        job = send_receipt.enqueue(Receipt(payment["order"], payment["cents"]))
        return {"number": len(paid), "job_id": job.job_id}, 201

    return web


def service() -> Flask:
    """Make it as it is deployed: `gunicorn --workers 4 'pay.flask_pay:service()'`."""
    store = SqlKeyStore(os.environ["PAY_DATABASE"])
    store.check()  # Without its table it does not start, and says how to make it.
    return payments(store)
