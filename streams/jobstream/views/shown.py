"""What a job's facts show: its state by the law that drops deliveries, and the fields of its row.

Pure. The same answers as `jobstream jobs` gives from the log (`operate/job_states.py`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jobstream.operate.state_names import DELAYED, ENDS, RETRYING, WAITING
from jobstream.views.facts import end_state
from jobstream_processors.core.known import DEAD, DONE, OTHER, Parked

if TYPE_CHECKING:
    from jobstream.views.facts import Facts

MOVING = "moving"
"""A row says that it left as a copy, and the copy was not read yet."""
LIVE = (WAITING, DELAYED, RETRYING, MOVING)
STATES = (*LIVE, *ENDS, OTHER)
"""`waiting` is queued or running: the log does not tell these apart."""

_EMPTY: dict[str, Any] = {
    "rung": "",
    "due_ms": None,
    "waits": "",
    "waits_since_ms": None,
    "awaits_code": False,
    "ended_ms": None,
    "took_ms": None,
    "error": "",
    "message": "",
    "frame": "",
    "fingerprint": "",
    "reason": "",
    "letter_open": False,
}
_EVENT = ("job_type", "key", "tenant", "parent_id", "correlation_id", "unique_key", "source")


def shown(facts: Facts) -> dict[str, Any]:
    """The columns of the job's row that its facts decide; all but `id`, `args` and `facts`."""
    row = _EMPTY | dict(
        zip(_EVENT, facts.event or ("", None, None, None, None, None, ""), strict=True)
    )
    row["job_type"] = row["job_type"] or facts.job_type
    row["enqueued_ms"], row["topic"], row["partition"], row["offset"], row["queue"] = (
        facts.origin or (None, None, None, None, _queue_of(facts))
    )
    found, copy = facts.known, facts.copy
    row["attempts"], row["redrive"] = _numbers(facts)
    if copy:
        row["waits"], row["waits_since_ms"] = (copy[9], copy[10]) if copy[6] else ("", None)
        row["error"], row["message"], row["frame"], row["fingerprint"] = copy[13:17]
    if copy and found.absorbs(copy[0], copy[1]) is None:
        return row | _standing(facts)
    if facts.done:
        return row | _ended(facts, DONE, -facts.done[0], facts.done[6])
    if facts.ended and not _went_on(facts):
        return row | _ended(facts, end_state(facts.ended), -facts.ended[2], facts.ended[6])
    if facts.letter and not _went_on(facts):
        # The delayer writes one without a row, for a record that it can't carry.
        return row | _ended(facts, DEAD, facts.letter[4], facts.letter[6])
    at_ms = copy[2] if copy else facts.parked[6] if facts.parked else 0
    return row | {"state": MOVING, "at_ms": at_ms}


def _queue_of(facts: Facts) -> str:
    parts = ((facts.done, 8), (facts.ended, 7), (facts.letter, 11))
    return next((part[at] for part, at in parts if part), "")


def _numbers(facts: Facts) -> tuple[int, int]:
    """The attempt that comes, or was the last; and the redrive it is of."""
    told = [(0, 0)]
    if facts.copy:
        told.append((facts.copy[0], facts.copy[7]))
    if facts.done:
        told.append((facts.done[4], facts.done[3]))
    if facts.ended:
        told.append((facts.ended[0], facts.ended[5]))
    if facts.letter:
        told.append((facts.letter[0], facts.letter[5]))
    redrive, attempt = max(told)
    return attempt, redrive


def _went_on(facts: Facts) -> bool:
    """Whether a row of a higher redrive than any end says that the job lives."""
    ends = max(facts.ended[0] if facts.ended else -1, facts.letter[0] if facts.letter else -1)
    lives = max(facts.moved[0] if facts.moved else -1, facts.parked[0] if facts.parked else -1)
    return lives > ends


def _standing(facts: Facts) -> dict[str, Any]:
    copy = facts.copy
    told = {"at_ms": copy[2], "rung": copy[6], "awaits_code": bool(copy[12]), "attempts": copy[7]}
    parked = facts.known.parked_at(copy[0], copy[1])
    if parked is not None:
        return told | _in_place(parked)
    if not copy[6]:
        return told | {"state": WAITING, "waits": "", "waits_since_ms": None}
    return told | {"state": RETRYING if copy[11] else DELAYED, "due_ms": copy[8]}


def _in_place(parked: Parked) -> dict[str, Any]:
    state = RETRYING if parked.first_failed_ms else DELAYED
    return {"state": state, "attempts": parked.attempt, "due_ms": parked.due_ms}


def _ended(facts: Facts, state: str, at_ms: int, reason: str) -> dict[str, Any]:
    row: dict[str, Any] = {"state": state, "at_ms": at_ms, "ended_ms": at_ms, "reason": reason}
    row["waits"], row["waits_since_ms"] = "", None
    if facts.copy and not facts.copy[6]:
        row["took_ms"] = max(0, at_ms - facts.copy[2])
    if state == DEAD and facts.letter:
        letter = facts.letter
        row["letter_open"] = letter[3]
        if letter[7] or letter[8]:
            row["error"], row["message"], row["frame"], row["fingerprint"] = letter[7:11]
    elif state == DONE:
        row["error"] = row["message"] = row["frame"] = row["fingerprint"] = ""
    return row
