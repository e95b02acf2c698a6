"""Payments over HTTP, with FastAPI: a request that is repeated pays once."""

import os
from typing import Annotated

from fastapi import FastAPI, Request
from pydantic import BaseModel, Field

from jobstream.idempotency import KeyStore
from jobstream.sql import SqlKeyStore
from jobstream.web import IdempotencyMiddleware

from .jobs import Receipt, send_receipt

paid: list[tuple[str, int]] = []
"""What was charged: the effect that must not happen twice."""


class Payment(BaseModel):
    """What a client sends."""

    order: Annotated[str, Field(min_length=1, max_length=128)]
    cents: Annotated[int, Field(gt=0)]


class Paid(BaseModel):
    """What it gets, and gets again."""

    number: int
    job_id: str


def payments(store: KeyStore) -> FastAPI:
    """Make the service."""
    web = FastAPI()
    web.add_middleware(
        IdempotencyMiddleware,
        store=store,
        required=lambda _method, path: path.startswith("/payments"),
        keep="24h",
    )

    @web.post("/payments", status_code=201)
    async def pay(payment: Payment, request: Request) -> Paid:
        """Charge, and enqueue a receipt; the job's own key comes from that of the request."""
        run = request.scope["jobstream.idempotency"]
        paid.append((f"{run.slot.key}/{run.attempt}", payment.cents))
        job = await send_receipt.aenqueue(Receipt(payment.order, payment.cents))
        return Paid(number=len(paid), job_id=job.job_id)

    return web


def service() -> FastAPI:
    """Make it as it is deployed: `uvicorn --factory pay.fastapi_pay:service --workers 4`."""
    store = SqlKeyStore(os.environ["PAY_DATABASE"])
    store.check()  # Without its table it does not start, and says how to make it.
    return payments(store)
