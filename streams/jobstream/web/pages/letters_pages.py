"""Dead letters by cause, and the letters of one cause."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobstream.answers.letters_screen import LettersAnswer, letters
from jobstream.web.api_reads import LettersQuery
from jobstream.web.entry_check import require_queue, require_whole
from jobstream.web.pages.page_route import Page

if TYPE_CHECKING:
    from jobstream.web.pages.page_route import PageCall


async def show_letters(call: PageCall) -> Page:
    """Open letters by filter."""
    asked: LettersQuery = call.query(LettersQuery)
    if asked.queue is not None:
        require_queue(call.caller, asked.queue)
    else:
        require_whole(call.caller)
    found: LettersAnswer = await call.ask(
        letters, asked.filter, asked.queue, asked.after, asked.limit
    )
    values = {
        "found": found,
        "asked": asked,
        "is_filtered": any((asked.id, asked.type, asked.error, asked.reason, asked.queue)),
        "causes": sorted(found.errors.items(), key=lambda each: -each[1]),
    }
    return Page("letters.html", "Dead letters", values, found.as_of)
