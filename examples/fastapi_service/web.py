"""Orders over HTTP, with FastAPI: each is saved, its receipt is a job, and a page shows them."""

from __future__ import annotations

import html
import os
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Annotated, Any

from examples import orders
from examples.fastapi_service.jobs import Receipt, app, database, send_receipt
from fastapi import Depends, FastAPI, HTTPException
from fastapi.responses import HTMLResponse, Response
from pydantic import BaseModel, Field

from jobstream.fastapi import Jobs, install, jobs, lifespan, status_router
from jobstream.sql import SqlKeyStore, enqueue_in
from jobstream.web import IdempotencyMiddleware

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from sqlalchemy import Engine

Text = Annotated[str, Field(min_length=1, max_length=128)]
Given = Annotated[Jobs, Depends(jobs)]


@asynccontextmanager
async def own(_: FastAPI) -> AsyncIterator[None]:
    """The lifespan of the service itself, within that of jobstream."""
    engine: Engine = database()
    yield
    engine.dispose()


web = FastAPI(lifespan=lifespan(app, own))
install(web)
# A request with an Idempotency-Key is carried out once; its repeats get the same answer.
web.add_middleware(IdempotencyMiddleware, store=SqlKeyStore(os.environ["SHOP_DATABASE"]))
web.include_router(status_router())


class Order(BaseModel):
    """What a customer sends."""

    id: Text
    email: Text


@web.post("/orders", status_code=202)
def take_order(order: Order, given: Given) -> Response:
    """Save it with its job, in one transaction; the relay sends the job after the commit.

    A broker that is away stops no order. Until the relay has sent it, the job's status is a 404.
    """
    receipt = Receipt(order.id, order.email)
    with database().begin() as connection:
        orders.save(connection, order.id, order.email)
        job = enqueue_in(connection, send_receipt, receipt, idempotency_key=order.id)
    return given.accepted(job.job_id)


@web.get("/orders/{order_id}")
def show_order(order_id: str) -> dict[str, Any]:
    """The order, and by which job its receipt was sent."""
    with database().connect() as connection:
        found = orders.find(connection, order_id)
    if found is None:
        raise HTTPException(404, f"no order {order_id!r}")
    return found


@web.get("/", response_class=HTMLResponse)
def page() -> str:
    """Twenty orders."""
    with database().connect() as connection:
        found = orders.newest(connection)
    rows = "".join(
        f"<tr><td>{html.escape(each['id'])}<td>{html.escape(each['mailed_by'] or 'waits')}"
        for each in found
    )
    return f"<!doctype html><title>Orders</title><table><tr><th>order<th>mailed by{rows}</table>"
