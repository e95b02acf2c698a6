"""The jobs of the service. A worker loads this module, and no web framework with it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from examples import orders

from jobstream import App, Context

if TYPE_CHECKING:
    from sqlalchemy import Engine

app = App("flask-shop", size="small")
mail = app.queue("mail", partitions=4)


@dataclass(frozen=True)
class Receipt:
    """A mail to a customer."""

    order_id: str
    email: str


@cache
def database() -> Engine:
    """That of this process; made at its first job."""
    return orders.engine()


@app.job(queue=mail)
def send_receipt(args: Receipt, ctx: Context) -> None:
    """Send it; this example only writes down that it was sent."""
    with database().begin() as connection:
        orders.mark_mailed(connection, args.order_id, ctx.job_id)
    ctx.logger.info("receipt of order %s sent", args.order_id)
