"""Dead letters: what a redrive starts anew, and when an open letter's job went on without it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobstream_processors.core import known
from jobstream_processors.core.headers import Carried

if TYPE_CHECKING:
    from jobstream_processors.core.known import Known

POINTER = "js-pointer"
"""Header of a dead letter without a body: topic:partition:offset of the original."""
TOO_LARGE = "too_large_to_copy"


def redriven(letter: Carried) -> Carried:
    """The headers of the copy that a redrive puts on the queue: attempts, age and waits start anew.

    The copy must be acknowledged before the letter's tombstone is published; a redriver that dies
    in between redrives again, with the same numbers, and the rows drop the second copy.
    """
    return Carried(
        redrive=letter.redrive + 1,
        partition=letter.partition,
        scheduled_ms=letter.scheduled_ms,
        origin=letter.origin,
        trace=letter.trace,
    )


def is_stale(found: Known, redrive: int) -> bool:
    """Whether the open letter of `redrive` is to be closed, by what is known of its job.

    Its job is done, ended without a dead letter, or lives on in a higher redrive: the letter was
    written before a crash, or by a worker that was frozen, and another run went another way.
    """
    newest = max(found.ended[0], found.moved[0], found.parked[0], found.crashes[0])
    if found.done or newest > redrive:
        return True
    return found.ended[0] == redrive and known.state_of(found.ended[1]) != known.DEAD
