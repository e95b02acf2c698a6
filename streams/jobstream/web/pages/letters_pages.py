"""Dead letters by cause, and the letters of one cause."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobstream.answers.causes_screen import LetterGroupsAnswer, letter_groups
from jobstream.answers.letters_screen import LettersAnswer, letters
from jobstream.web.api_reads import LettersQuery
from jobstream.web.entry_check import require_queue, require_whole
from jobstream.web.pages.page_route import Page

if TYPE_CHECKING:
    from jobstream.web.pages.page_route import PageCall


CAUSES_MAX = 50


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
    groups: LetterGroupsAnswer = await call.ask(
        letter_groups, asked.queue, CAUSES_MAX, asked.filter
    )
    values = {
        "found": found,
        "asked": asked,
        "meant": _meant(asked),
        "is_filtered": any(
            (asked.id, asked.fingerprint, asked.type, asked.error, asked.reason, asked.queue)
        ),
        "groups": groups,
        "cause": groups.groups[0] if len(asked.fingerprint) == 1 and groups.groups else None,
    }
    return Page("letters.html", "Dead letters", values, found.as_of)


def _meant(asked: LettersQuery) -> dict[str, object]:
    """The filter as the query of a link to this page has it."""
    return {
        "id": asked.id,
        "fingerprint": asked.fingerprint,
        "type": asked.type,
        "error": asked.error,
        "reason": asked.reason,
        "queue": asked.queue,
    }
