"""The app under trial: jobs that fail, wait or kill their worker, as their arguments say.

Every run writes its start and its end to the ledger. Which job fails is decided by its number, so
a test knows beforehand what must become of each.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

from jobstream import App, Backoff, Breaker, Context, Limit, Unique
from jobstream.testing.ledger import Ledger

PARTITIONS = int(os.environ.get("TRIAL_PARTITIONS", "4"))
FOLDER = Path(os.environ["TRIAL_FOLDER"])
# The rungs no test uses are kept small: topics cost the broker time.
RUNGS = dict.fromkeys(("30s", "2m", "10m", "1h", "6h", "1d"), 1)
BACKOFF = Backoff(attempts=5, first="200ms", factor=2, cap="2s", dead_on=(ValueError,))

app = App(os.environ["TRIAL_APP"])
mail = app.queue("mail", partitions=PARTITIONS, rungs=RUNGS)
orders = app.queue("orders", partitions=PARTITIONS, rungs=RUNGS)
ledger = Ledger(FOLDER / "ledger")


class FailsOnce(Exception):
    """What a retry mends."""


@dataclass(frozen=True)
class Work:
    number: int
    key: str = ""
    ms: int = 0
    """How long it takes."""
    until: str = ""
    """Instead: as long as this file of the trial's folder is not there."""


@dataclass(frozen=True)
class Poison:
    how: str


def is_transient(number: int) -> bool:
    return number % 20 == 3


def is_permanent(number: int) -> bool:
    return number % 100 == 7


async def take_time(args: Work) -> None:
    if args.ms:
        await asyncio.sleep(args.ms / 1000)  # work
    # Another process opens the gate, so there is no event to wait for.
    while args.until and not (FOLDER / args.until).exists():  # noqa: ASYNC110
        await asyncio.sleep(0.01)  # work


async def work(args: Work, ctx: Context) -> None:
    with ledger.run(ctx, key=args.key):
        await take_time(args)
        if is_permanent(args.number):
            message = f"job {args.number} never works"
            raise ValueError(message)
        if is_transient(args.number) and ctx.attempt == 1:
            message = f"job {args.number} works the second time"
            raise FailsOnce(message)


@app.job(queue=mail, retry=BACKOFF)
async def plain(args: Work, ctx: Context) -> None:
    await work(args, ctx)


@app.job(queue=mail, retry=BACKOFF)
async def retried(args: Work, ctx: Context) -> None:
    await work(args, ctx)


@app.job(queue=orders, retry=BACKOFF, on_failure="hold_key")
async def holding(args: Work, ctx: Context) -> None:
    await work(args, ctx)


@app.job(queue=mail)
async def steady(args: Work, ctx: Context) -> None:
    """Never fails, whatever its number."""
    with ledger.run(ctx, key=args.key):
        await take_time(args)


@app.job(queue=mail, retry=BACKOFF, unique=Unique(by="number"))
async def clicked(args: Work, ctx: Context) -> None:
    await work(args, ctx)


@app.job(queue=mail, retry=BACKOFF, unique=Unique(by="number", within="12h"))
async def clicked_within(args: Work, ctx: Context) -> None:
    await work(args, ctx)


PER_SECOND, BURST, AT_ONCE = 2, 2, 8


@app.job(
    queue=mail,
    timeout="5s",
    limits=[
        Limit(rate=f"{PER_SECOND}/s", burst=BURST, per="key"),
        Limit(concurrency=AT_ONCE),
    ],
)
async def limited(args: Work, ctx: Context) -> None:
    """Never fails, but may have to wait."""
    with ledger.run(ctx, key=args.key):
        await take_time(args)


RARE_S, RARE_BURST = 30, 2


@app.job(
    queue=mail, timeout="5s", limits=[Limit(rate=f"2/{2 * RARE_S}s", burst=RARE_BURST, per="key")]
)
async def rare(args: Work, ctx: Context) -> None:
    """Never fails; what was used up of its rate counts for longer than a change of owner takes."""
    with ledger.run(ctx, key=args.key):
        await take_time(args)


POST = Breaker("post", window="20s", least=6, open="2s", open_max="4s", probes=1)
POST_IS_UP = FOLDER / "post is up"


@app.job(queue=mail, timeout="5s", breaker=POST, retry=Backoff(20, first="200ms", cap="2s"))
async def posted(args: Work, ctx: Context) -> None:
    """Fails, whatever its number, as long as the post is down."""
    with ledger.run(ctx, key=args.key):
        if not POST_IS_UP.exists():
            message = "the post is down"
            raise FailsOnce(message)


def hold(args: Work, ctx: Context) -> None:
    """In a thread, which nothing can stop."""
    with ledger.run(ctx, key=args.key):
        while not (FOLDER / args.until).exists():
            time.sleep(0.01)  # work


THREAD_TIMEOUT = "60s"
"""Within it a busy machine lets another worker join, which takes seconds on one that idles."""


@app.job(queue=mail, timeout=THREAD_TIMEOUT)
def stubborn(args: Work, ctx: Context) -> None:
    hold(args, ctx)


@app.job(queue=orders, timeout=THREAD_TIMEOUT)
def mulish(args: Work, ctx: Context) -> None:
    hold(args, ctx)


@app.job(queue=mail)
async def poison(args: Poison, ctx: Context) -> None:
    """Takes the process down that runs it."""
    ledger.start(ctx)
    if args.how == "segfault":
        ctypes.string_at(0)
    elif args.how == "exit":
        os._exit(3)
    else:
        os.kill(os.getpid(), signal.SIGKILL)
