"""Closing many dead letters: counted first, then begun, then followed to its end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from jobstream.answers.jobs_answer import JobsWanted
from jobstream.web.api_route import Reply
from jobstream.web.entry_check import require_whole
from jobstream.web.pages.page_acts import CALLS, call_of
from jobstream.web.pages.page_route import Page
from jobstream.web.problems import Problem

if TYPE_CHECKING:
    from jobstream.web.pages.page_route import PageCall

WAYS = ("redrive", "discard")


@dataclass(frozen=True, slots=True)
class CloseQuery:
    """Which letters are meant, and what is to become of them."""

    way: str
    ids: str | None = None
    fingerprints: str | None = None
    types: str | None = None
    error: str | None = None
    reason: str | None = None
    queue: str | None = None


async def show_count(call: PageCall) -> Page:
    """How many letters an act would close, and the form that begins it."""
    asked: CloseQuery = call.query(CloseQuery)
    if asked.way not in WAYS:
        raise Problem(422, "wrong-query", f"way={asked.way!r:.100}: give redrive or discard")
    meant = {
        name: text
        for name in ("ids", "fingerprints", "types", "error", "reason", "queue")
        if (text := getattr(asked, name))
    }
    if not meant:
        meant = {"everything": "true"}
    form = {**meant, "dry_run": "true"}
    route = CALLS[f"/dead-letters/{asked.way}"]
    found = await route.run(call_of(call.desk, call.request, call.caller, route, form))
    counted = found.answer if isinstance(found, Reply) else found
    values = {"way": asked.way, "meant": meant, "counted": counted}
    return Page("close.html", f"{asked.way.capitalize()} dead letters", values)


async def show_cancel(call: PageCall) -> Page:
    """How many jobs an act would cancel, and the form that begins it."""
    asked: JobsWanted = call.query(JobsWanted)
    given = {
        "states": " ".join(asked.states),
        "types": " ".join(asked.types),
        "queue": asked.queue or "",
        "key": asked.key or "",
        "since": asked.since.isoformat() if asked.since is not None else "",
        "text": asked.text or "",
    }
    meant = {name: text for name, text in given.items() if text} or {"everything": "true"}
    route = CALLS["/jobs/cancel-many"]
    form = {**meant, "dry_run": "true"}
    found = await route.run(call_of(call.desk, call.request, call.caller, route, form))
    counted = found.answer if isinstance(found, Reply) else found
    return Page("cancel.html", "Cancel jobs", {"meant": meant, "counted": counted})


async def show_operation(call: PageCall) -> Page:
    """How far an operation is."""
    require_whole(call.caller)
    found = call.desk.operations.get(call.path("operation")).now()
    return Page("operation.html", f"{found.what.capitalize()} of {found.total}", {"found": found})


async def show_operations(call: PageCall) -> Page:
    """The operations of this process."""
    require_whole(call.caller)
    return Page("operations.html", "Operations", {"found": call.desk.operations.list()})
