"""Overview: what needs a hand first, then queues by how late they are, and what goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jobstream.answers.errors import AnswerError
from jobstream.answers.letters_screen import letters
from jobstream.answers.overview import overview
from jobstream.operate.filters import LetterFilter
from jobstream.web.entry_check import require_whole
from jobstream.web.pages.page_route import Page

if TYPE_CHECKING:
    from jobstream.web.pages.page_route import PageCall

CAUSES_MAX = 8


async def show(call: PageCall) -> Page:
    """The first page."""
    require_whole(call.caller)
    found = await call.ask(overview)
    causes: list[tuple[str, int]] = []
    notes: list[str] = []
    if found.letters:
        try:
            dead = await call.ask(letters, LetterFilter(), None, "", 1)
            causes = sorted(dead.errors.items(), key=lambda each: -each[1])[:CAUSES_MAX]
        except AnswerError as error:
            notes.append(f"dead letters by cause: {error}")
    values: dict[str, Any] = {
        "found": found,
        "causes": causes,
        "busy": [row for row in found.queues if _says_something(row)],
    }
    return Page("overview.html", "Overview", values, found.as_of, tuple(notes))


def _says_something(row: Any) -> bool:  # noqa: ANN401 - a QueueRow
    return bool(row.lag or row.on_ladder or row.letters or row.paused or row.is_late)
