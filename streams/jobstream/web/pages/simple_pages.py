"""The pages that show one answer whole: types, schedules, limits, workers, audit, health."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from jobstream.answers.audit_screen import audit
from jobstream.answers.health_screen import health
from jobstream.answers.limits_screen import limits_and_breakers
from jobstream.answers.schedules_screen import schedules
from jobstream.answers.types_screen import types
from jobstream.answers.workers_screen import workers
from jobstream.web.api_reads import AuditQuery
from jobstream.web.entry_check import require_whole
from jobstream.web.pages.page_route import Page

if TYPE_CHECKING:
    from jobstream.web.pages.page_route import PageCall

ROWS_MAX = 500
"""Rows of one page; a filter finds the others."""


@dataclass(frozen=True, slots=True)
class NameQuery:
    """Which rows are listed."""

    text: str | None = None

    def fits(self, *names: str) -> bool:
        """Whether one of these holds the text."""
        text = (self.text or "").casefold()
        return any(text in name.casefold() for name in names)


async def show_types(call: PageCall) -> Page:
    """Every job type."""
    require_whole(call.caller)
    asked: NameQuery = call.query(NameQuery)
    found = await call.ask(types)
    rows = [row for row in found.types if asked.fits(row.name, row.queue)]
    values = {"found": found, "asked": asked, "rows": rows[:ROWS_MAX], "total": len(rows)}
    return Page("types.html", "Types", values, found.as_of)


async def show_schedules(call: PageCall) -> Page:
    """Every schedule."""
    require_whole(call.caller)
    asked: NameQuery = call.query(NameQuery)
    found = await call.ask(schedules)
    rows = [row for row in found.schedules if asked.fits(row.schedule.name, row.schedule.job_type)]
    values = {"found": found, "asked": asked, "rows": rows[:ROWS_MAX], "total": len(rows)}
    return Page("schedules.html", "Schedules", values, found.as_of)


async def show_limits(call: PageCall) -> Page:
    """Every limit and breaker."""
    require_whole(call.caller)
    found = await call.ask(limits_and_breakers)
    values = {
        "found": found,
        "breakers": found.breakers[:ROWS_MAX],
        "limits": found.limits[:ROWS_MAX],
    }
    return Page("limits.html", "Limits and breakers", values, found.as_of)


async def show_workers(call: PageCall) -> Page:
    """Every process of this machine, and the groups."""
    require_whole(call.caller)
    found = await call.ask(workers)
    return Page("workers.html", "Workers", {"found": found}, found.as_of)


async def show_audit(call: PageCall) -> Page:
    """Who did what."""
    require_whole(call.caller)
    asked: AuditQuery = call.query(AuditQuery)
    found = await call.ask(audit, asked.limit)
    values = {"found": found, "asked": asked}
    return Page("audit.html", "Audit", values, found.as_of, (found.note,) if found.note else ())


async def show_health(call: PageCall) -> Page:
    """How each part is."""
    found = await call.ask(health, call.desk.now_s())
    return Page("health.html", "Health", {"found": found}, found.as_of)
