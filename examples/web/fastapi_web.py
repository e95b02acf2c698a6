"""Orders over HTTP, with FastAPI. Each one enqueues a job before it is answered."""

from typing import Annotated

from fastapi import Depends, FastAPI, Header
from fastapi.responses import Response
from pydantic import BaseModel, Field

from jobstream.fastapi import Jobs, install, jobs, lifespan, status_router

from .jobs import Receipt, app, send_receipt

Text = Annotated[str, Field(min_length=1, max_length=128)]
RequestId = Annotated[str | None, Header(alias="X-Request-ID", max_length=128)]
Given = Annotated[Jobs, Depends(jobs)]

web = FastAPI(lifespan=lifespan(app))
install(web)
web.include_router(status_router())


class Order(BaseModel):
    """What a customer sends."""

    id: Text
    email: Text


@web.post("/orders", status_code=202)
async def take_order(order: Order, given: Given, request_id: RequestId = None) -> Response:
    """An `async def` route awaits `aenqueue`: `enqueue` would hold the event loop."""
    job = await send_receipt.aenqueue(
        Receipt(order.id, order.email),
        idempotency_key=order.id,
        correlation_id=request_id,
    )
    return given.accepted(job)


@web.post("/orders/{order_id}/receipts", status_code=202)
def send_again(order_id: Text, email: Text, given: Given, request_id: RequestId = None) -> Response:
    """A plain `def` route runs in a thread, where `enqueue` may block."""
    job = send_receipt.enqueue(Receipt(order_id, email), correlation_id=request_id)
    return given.accepted(job)
