"""Orders over HTTP, with FastAPI. Each one enqueues a job before it is answered."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from math import ceil
from typing import Annotated

from fastapi import FastAPI, Header, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from jobstream import EnqueueTimeout, QueueFull

from .jobs import Receipt, app, send_receipt

Text = Annotated[str, Field(min_length=1, max_length=128)]
RequestId = Annotated[str | None, Header(alias="X-Request-ID", max_length=128)]


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    """Connect at the first enqueue; at the end send what is queued, which may take 5 s."""
    yield
    await asyncio.to_thread(app.close)


web = FastAPI(lifespan=lifespan)


class Order(BaseModel):
    """What a customer sends."""

    id: Text
    email: Text


class Taken(BaseModel):
    """The job that will do the rest."""

    job_id: str


@web.exception_handler(EnqueueTimeout)
@web.exception_handler(QueueFull)
async def try_again(_: Request, error: Exception) -> JSONResponse:
    """Kafka is away or behind. The idempotency key makes it safe to send the order again."""
    after = ceil(getattr(error, "retry_after", 5))
    return JSONResponse({"detail": str(error)}, 503, {"Retry-After": str(after)})


@web.post("/orders", status_code=202)
async def take_order(order: Order, request_id: RequestId = None) -> Taken:
    """An `async def` route awaits `aenqueue`: `enqueue` would hold the event loop."""
    job = await send_receipt.aenqueue(
        Receipt(order.id, order.email),
        idempotency_key=order.id,
        correlation_id=request_id,
    )
    return Taken(job_id=job.job_id)


@web.post("/orders/{order_id}/receipts", status_code=202)
def send_again(order_id: Text, email: Text, request_id: RequestId = None) -> Taken:
    """A plain `def` route runs in a thread, where `enqueue` may block."""
    job = send_receipt.enqueue(Receipt(order_id, email), correlation_id=request_id)
    return Taken(job_id=job.job_id)
