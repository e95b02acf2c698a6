"""A double click, a webhook that storms, a document that is being typed: what of each runs.

Runs in memory, on a clock that jumps: `python -m examples.rules.unique_jobs`.
"""

from __future__ import annotations

from dataclasses import dataclass

from jobstream import App, Debounce, RetryAfter, Unique
from jobstream.testing import memory

app = App("shop", size="small")
ran: list[str] = []


@dataclass(frozen=True)
class Order:
    """An order to confirm."""

    number: int


@dataclass(frozen=True)
class Account:
    """An account as a webhook told it."""

    name: str
    version: int


@dataclass(frozen=True)
class Document:
    """A document to index."""

    name: str
    text: str


@app.job(unique=Unique(by="number"))
async def confirm(args: Order) -> None:
    """Confirm an order once, however often it is clicked."""
    ran.append(f"order {args.number}")


@app.job(unique=Unique(by="name", on_conflict="keep_latest"))
async def sync(args: Account) -> None:
    """Sync the account; the other side is busy at first."""
    if args.version == 1 and "busy" not in ran:
        ran.append("busy")
        wait = "10s"
        raise RetryAfter(wait)
    ran.append(f"account version {args.version}")


@app.job(debounce=Debounce(by="name", wait="5s", wait_max="1m"))
async def index(args: Document) -> None:
    """Index the document when nobody types."""
    ran.append(f"text {args.text}")


def main() -> None:
    """Click twice, change an account five times, and type a word."""
    with memory(app) as jobs:
        first, second = confirm.enqueue(Order(7)), confirm.enqueue(Order(7))
        for version in range(1, 6):
            sync.enqueue(Account("acme", version))
            jobs.run_for("1s")
        for end in range(1, 6):
            index.enqueue(Document("letter", "hello"[:end]))
            jobs.run_for("1s")
        jobs.run_until_idle()
        states = [jobs.seen(each)[0].state for each in (first, second)]
    print(f"the clicks are {states[0]} and {states[1]}; what ran: {', '.join(ran)}")


if __name__ == "__main__":
    main()
