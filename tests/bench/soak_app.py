"""The app of the soak: jobs of every kind that a service has, some of which fail, wait or die.

Each run writes its start and its end to a ledger outside of Kafka. It starts nothing.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import threading
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from jobstream import App, Backoff, Context, Dead
from jobstream.testing.ledger import Ledger

FOLDER = Path(os.environ["SOAK_FOLDER"])
CENSUS = FOLDER / "census.jsonl"
"""What the worker's interpreter says of itself: a line each time."""
KINDS = 20
"""As many classes are counted one by one, for whoever looks for what grew."""
KEYS = 50
FAILS_EVERY, DIES_EVERY = 50, 1_000
# The rungs that no job uses are kept small: topics cost the broker time.
RUNGS = dict.fromkeys(("30s", "2m", "10m", "1h", "6h", "1d"), 1)
RETRY = Backoff(attempts=5, first="500ms", factor=2, cap="2s")

app = App("bench-soak")
calls = app.queue("calls", partitions=4, rungs=RUNGS)
orders = app.queue("orders", partitions=4, rungs=RUNGS)
ledger = Ledger(FOLDER / "ledger")


class FailsOnce(Exception):
    """What a retry mends."""


@dataclass(frozen=True)
class Work:
    """The arguments of every job here."""

    n: int
    key: str = ""
    text: str = ""


def fail_some(args: Work, ctx: Context) -> None:
    """One job of FAILS_EVERY fails, the first time; one of DIES_EVERY for good."""
    if args.n % DIES_EVERY == 1:
        message = f"job {args.n} is one of those that die"
        raise Dead(message)
    if args.n % FAILS_EVERY == 2 and ctx.attempt == 1:
        message = f"job {args.n} works the second time"
        raise FailsOnce(message)


@app.job(queue=calls)
async def fill(args: Work) -> None:
    """Do nothing and note nothing: it fills tables and caches before the soak begins."""


@app.job(queue=calls, retry=RETRY)
async def send(args: Work, ctx: Context) -> None:
    """Wait for an answer from elsewhere."""
    with ledger.run(ctx):
        await asyncio.sleep(0.01)  # work
        fail_some(args, ctx)


@app.job(queue=calls, retry=RETRY)
def render(args: Work, ctx: Context) -> None:
    """Wait in a thread."""
    with ledger.run(ctx):
        time.sleep(0.01)  # work
        fail_some(args, ctx)


@app.job(queue=orders, retry=RETRY, on_failure="hold_key")
async def book(args: Work, ctx: Context) -> None:
    """Wait, one at a time per key."""
    with ledger.run(ctx, key=args.key):
        await asyncio.sleep(0.005)  # work
        fail_some(args, ctx)


@app.job(queue=orders, retry=RETRY, executor="process")
def compute(args: Work, ctx: Context) -> None:
    """Work in a child process."""
    with ledger.run(ctx):
        sum(range(1_000))
        fail_some(args, ctx)


@app.job(queue=calls)
async def census(args: Work) -> None:
    """Count what the collector knows of, and write it down; let it collect first, if `n` is 1."""
    if args.n:
        gc.collect()
    stats, objects = gc.get_stats(), gc.get_objects()
    kinds = Counter(type(each).__qualname__ for each in objects)
    found = {
        "pid": os.getpid(),
        "objects": len(objects),
        "kinds": dict(kinds.most_common(KINDS)),
        "collections": [each["collections"] for each in stats],
        "collected": sum(each["collected"] for each in stats),
        "uncollectable": sum(each["uncollectable"] for each in stats),
        "python_threads": threading.active_count(),
    }
    with CENSUS.open("a") as lines:
        lines.write(json.dumps(found) + "\n")


TYPES = (send, render, book, compute)
