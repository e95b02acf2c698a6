"""The runs of a job, told from the records about it. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobstream.views.view_answers import Attempt
from jobstream_processors.core.known import DONE, TERMINAL

if TYPE_CHECKING:
    from collections.abc import Iterable

    from jobstream.operate.history import HistoryEntry

FAILED = "failed"


def attempts_in(entries: Iterable[HistoryEntry]) -> tuple[Attempt, ...]:
    """The attempts that `entries` tell of, the oldest first.

    A copy tells of the attempt before it, each hop again; a letter and a row of the last one.
    """
    found: dict[tuple[int, int], Attempt] = {}
    for entry in entries:
        told = _told(entry)
        if told is not None:
            key = told.redrive, told.attempt
            before = found.get(key)
            found[key] = told if before is None else _both(before, told)
    return tuple(found[key] for key in sorted(found))


def _told(entry: HistoryEntry) -> Attempt | None:
    detail = entry.detail
    redrive, attempt = detail.get("redrive", 0), detail.get("attempt", 0)
    error, message, frame = (detail.get(name, "") for name in ("error", "message", "frame"))
    if entry.what == "row" and detail.get("state") in TERMINAL:
        return Attempt(redrive, attempt, entry.at_ms, detail["state"]) if attempt else None
    if entry.what == "dead letter" and attempt:
        told = (error, message, frame, entry.traceback)
        return Attempt(redrive, attempt, entry.at_ms, "dead", *told)
    if entry.what in {"waits", "queued"} and error and attempt > 1:
        told = (error, message, frame, entry.traceback)
        return Attempt(redrive, attempt - 1, entry.at_ms, FAILED, *told)
    return None


def _both(before: Attempt, told: Attempt) -> Attempt:
    """What two records tell of one attempt: the first time, the text of whichever has one."""
    better = told if told.outcome == DONE or before.outcome == FAILED else before
    texts = before if before.error else told
    return Attempt(
        before.redrive,
        before.attempt,
        min(before.ended_ms, told.ended_ms),
        better.outcome,
        texts.error,
        texts.message,
        texts.frame,
        texts.traceback,
    )
