"""The shop's jobs. What goes wrong is said by their arguments, so that a load can be told to hurt.

A worker needs to know no more than this module.
"""

from __future__ import annotations

import asyncio
import threading
from dataclasses import dataclass
from typing import Literal

from jobstream import App, Backoff, Context

Trouble = Literal["none", "flaky", "broken"]
"""`flaky` fails once and then goes well; `broken` never will."""

app = App("shop")
LONG = {"1d": 1, "6h": 1}
"""Nothing here waits for hours: one partition each will do."""
mail = app.queue("mail", partitions=6, slo="1m", rungs=LONG)
images = app.queue("images", partitions=4, slo="2m", rungs=LONG)
payments = app.queue("payments", partitions=4, slo="30s", rungs=LONG)


class CardRefused(Exception):
    """The bank said no, and will say so again."""


@dataclass(frozen=True)
class Receipt:
    """A mail to a customer."""

    order_id: str
    milliseconds: int
    trouble: Trouble = "none"


@dataclass(frozen=True)
class Picture:
    """A picture to be made smaller."""

    name: str
    milliseconds: int


@dataclass(frozen=True)
class CountCrash:
    """Money to be taken from a card; those of one customer in their order."""

    customer: str
    cents: int
    trouble: Trouble = "none"


@app.job(queue=mail, expect="50ms", retry=Backoff(attempts=5, first="2s", cap="30s"))
async def send_receipt(args: Receipt, ctx: Context) -> None:
    """Wait for a mail server that is not there."""
    await asyncio.sleep(args.milliseconds / 1000)
    if args.trouble == "broken" or (args.trouble == "flaky" and ctx.attempt == 1):
        message = "the mail server closed the connection"
        raise ConnectionError(message)


@app.job(queue=images, expect="1s", timeout="20s")
def resize_picture(args: Picture) -> None:
    """Keep a thread busy for a while."""
    threading.Event().wait(args.milliseconds / 1000)


@app.job(
    queue=payments, expect="50ms", retry=Backoff(attempts=4, first="1s", dead_on=(CardRefused,))
)
async def charge_card(args: CountCrash, ctx: Context) -> None:
    """Ask a bank that is not there."""
    await asyncio.sleep(0.02)
    if args.trouble == "broken":
        message = f"card of {args.customer} is refused"
        raise CardRefused(message)
    if args.trouble == "flaky" and ctx.attempt == 1:
        message = "the bank did not answer"
        raise TimeoutError(message)
