"""Dead letters: what a redrive starts anew, and when an open letter's job went on without it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from jobstream_processors.core import known
from jobstream_processors.core.fingerprint import cause_of, is_fingerprint
from jobstream_processors.core.headers import (
    RELEASE_BYTES_MAX,
    TEXT_BYTES_MAX,
    Carried,
    Headers,
    cut,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jobstream_processors.core.known import Known

POINTER = "js-pointer"
"""Header of a dead letter without a body: topic:partition:offset of the original."""
FINGERPRINT = "js-fingerprint"
"""Header of a dead letter: what it died of, in 12 hex digits."""
RELEASE = "js-release"
"""Header of a dead letter: the release of the code that gave the job up, where that is known."""
TOO_LARGE = "too_large_to_copy"


def letter_headers(job_type: str | None, carried: Carried, release: str) -> Headers:
    """The headers of a letter's cause and release, which no copy of the job carries on.

    A letter of a job whose type its writer does not know (None) has no fingerprint: who reads it
    may know the type.
    """
    told: Headers = [(RELEASE, cut(release, RELEASE_BYTES_MAX))] if release else []
    if job_type is None:
        return told
    return [*told, (FINGERPRINT, fingerprint_of(job_type, carried).encode())]


def fingerprint_of(job_type: str, carried: Carried) -> str:
    """The fingerprint of what was carried, however long its texts are."""
    # A reader knows the texts as headers hold them.
    error, frame, message = (
        cut(text, TEXT_BYTES_MAX).decode()
        for text in (carried.error, carried.frame, carried.message)
    )
    as_read = replace(carried, error=error, frame=frame, message=message)
    return cause_of(job_type, as_read).fingerprint


def fingerprint_in(headers: Mapping[str, bytes | None], job_type: str, carried: Carried) -> str:
    """The fingerprint that a letter's headers hold; computed where they hold none in its form."""
    told = headers.get(FINGERPRINT) or b""
    return told.decode() if is_fingerprint(told) else cause_of(job_type, carried).fingerprint


def release_in(headers: Mapping[str, bytes | None]) -> str:
    """The release that a letter's headers name; "" if they name none that can be read."""
    told = headers.get(RELEASE) or b""
    try:
        return told.decode() if len(told) <= RELEASE_BYTES_MAX else ""
    except UnicodeDecodeError:
        return ""


def redriven(letter: Carried) -> Carried:
    """The headers of the copy that a redrive puts on the queue: attempts, age and waits start anew.

    The copy must be acknowledged before the letter's tombstone is published; a redriver that dies
    in between redrives again, with the same numbers, and the rows drop the second copy.
    """
    return Carried(
        redrive=letter.redrive + 1,
        partition=letter.partition,
        scheduled_ms=letter.scheduled_ms,
        schedule=letter.schedule,
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


def parse_key(key: bytes | None) -> tuple[str, int] | None:
    """(id, redrive) of a letter's key; None for a stranger's record."""
    if key is None:
        return None
    job_id, colon, redrive = key.decode("utf-8", "replace").rpartition(":")
    if not colon or not job_id or not redrive.isdigit() or not redrive.isascii():
        return None
    if len(redrive) > known.DIGITS_MAX:  # More are not ours, and int() raises for thousands.
        return None
    return job_id, int(redrive)
