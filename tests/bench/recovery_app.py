"""The app of the recovery measurement: 36 partitions, and jobs of every kind that a service has.

Each run writes its start and its end to a ledger outside of Kafka. It starts nothing.
"""

from __future__ import annotations

import asyncio
import os
import time
from dataclasses import dataclass
from pathlib import Path

from jobstream import App, Backoff, Context
from jobstream.testing.ledger import Ledger

PARTITIONS = 12
KEYS = 500
# The rungs that no job uses are kept small: topics cost the broker time.
RUNGS = dict.fromkeys(("30s", "2m", "10m", "1h", "6h", "1d"), 1)
RETRY = Backoff(attempts=5, first="500ms", factor=2, cap="2s")
FAILS_EVERY = 50

app = App(os.environ["RECOVERY_APP"])
mail = app.queue("mail", partitions=PARTITIONS, rungs=RUNGS)
orders = app.queue("orders", partitions=PARTITIONS, rungs=RUNGS)
reports = app.queue("reports", partitions=PARTITIONS, rungs=RUNGS)
ledger = Ledger(Path(os.environ["RECOVERY_FOLDER"], "ledger"))


class FailsOnce(Exception):
    """What a retry mends."""


@dataclass(frozen=True)
class Work:
    """The arguments of every job here."""

    n: int
    key: str = ""


def fail_once(args: Work, ctx: Context) -> None:
    """One job of FAILS_EVERY fails, the first time."""
    if args.n % FAILS_EVERY == 1 and ctx.attempt == 1:
        message = f"job {args.n} works the second time"
        raise FailsOnce(message)


@app.job(queue=mail, retry=RETRY)
async def send(args: Work, ctx: Context) -> None:
    """Wait for an answer from elsewhere."""
    with ledger.run(ctx):
        await asyncio.sleep(0.05)  # work
        fail_once(args, ctx)


@app.job(queue=orders, retry=RETRY, on_failure="hold_key")
async def book(args: Work, ctx: Context) -> None:
    """Wait, one at a time per key."""
    with ledger.run(ctx, key=args.key):
        await asyncio.sleep(0.02)  # work
        fail_once(args, ctx)


@app.job(queue=reports, retry=RETRY)
def render(args: Work, ctx: Context) -> None:
    """Wait in a thread."""
    with ledger.run(ctx):
        time.sleep(0.2)  # work
        fail_once(args, ctx)


TYPES = (send, book, render)
