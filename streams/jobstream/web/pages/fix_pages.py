"""The form that corrects a dead job, made of its type's schema."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jobstream.answers.fix_fields import changes_in
from jobstream.answers.fix_screen import FixForm, fix_form
from jobstream.web.entry_check import require_queue
from jobstream.web.pages.page_route import Page
from jobstream.web.pages.visible import visible

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jobstream.web.callers import Caller
    from jobstream.web.desk import Desk
    from jobstream.web.pages.page_route import PageCall

TITLE = "Correct a dead job"


@dataclass(frozen=True, slots=True)
class FixQuery:
    """Which job is corrected."""

    id: str
    queue: str | None = None


async def show_fix(call: PageCall) -> Page:
    """The form with the values of the dead job."""
    asked: FixQuery = call.query(FixQuery)
    found = await _form(call.desk, call.caller, asked.id, asked.queue)
    return Page("fix.html", TITLE, {"found": found, "sent": {}, "trouble": ""})


async def changes_of(desk: Desk, caller: Caller, sent: Mapping[str, str]) -> dict[str, Any]:
    """What the form changes; raises CannotFix for a text that is no value of its field."""
    found = await _form(desk, caller, sent.get("id", ""), sent.get("queue") or None)
    return {"changes": changes_in(found.fields, sent, visible)}


async def show_again(desk: Desk, caller: Caller, sent: Mapping[str, str], trouble: str) -> Page:
    """The form once more, with what was typed, and why it was refused."""
    found = await _form(desk, caller, sent.get("id", ""), sent.get("queue") or None)
    return Page("fix.html", TITLE, {"found": found, "sent": sent, "trouble": trouble}, status=422)


async def _form(desk: Desk, caller: Caller, job_id: str, queue: str | None) -> FixForm:
    found = await desk.ask(fix_form, desk.site, job_id, queue)
    require_queue(caller, found.letter.queue)
    return found
