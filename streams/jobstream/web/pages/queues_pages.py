"""Queues, and one queue with its rungs and partitions."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from jobstream.answers.queues_screen import QueuesAnswer, queue, queues
from jobstream.web.entry_check import require_queue
from jobstream.web.pages.page_route import Page

if TYPE_CHECKING:
    from jobstream.web.pages.page_route import PageCall

ROWS = 100
PARTITIONS = 200


@dataclass(frozen=True, slots=True)
class QueuesQuery:
    """Which queues are listed."""

    text: str | None = None
    from_: int = field(default=0, metadata={"least": 0, "most": 1_000_000})


async def show_queues(call: PageCall) -> Page:
    """Every queue that the caller may see, the latest first, some at a time."""
    asked: QueuesQuery = call.query(QueuesQuery)
    found: QueuesAnswer = await call.ask(queues)
    text = (asked.text or "").casefold()
    rows = [
        row for row in found.queues if call.caller.sees(row.name) and text in row.name.casefold()
    ]
    values = {
        "found": found,
        "asked": asked,
        "rows": rows[asked.from_ : asked.from_ + ROWS],
        "total": len(rows),
        "next": asked.from_ + ROWS if asked.from_ + ROWS < len(rows) else None,
        "before": max(0, asked.from_ - ROWS) if asked.from_ else None,
    }
    return Page("queues.html", "Queues", values, found.as_of)


async def show_queue(call: PageCall) -> Page:
    """One queue."""
    name = call.path("queue")
    require_queue(call.caller, name)
    found = await call.ask(queue, name)
    values = {"found": found, "partitions": found.partitions[:PARTITIONS], "most": PARTITIONS}
    return Page("queue.html", f"Queue {name}", values, found.as_of)
