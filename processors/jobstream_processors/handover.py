"""The note beside a committed offset, by which an owner tells the next one how it left.

Text in, text out. Whether a partition is suspect, and what that means, is takeover's business.
"""

from __future__ import annotations

CLEAN = "clean:"
"""Beginning of the note of an owner that left with nothing running."""


def clean_note(claim: int, position: int, suspect_before: int) -> str:
    """`clean:<claim>`, and `:<offset>` where jobs from `position` up to that one are suspect still.

    Suspicion outlives an owner that leaves before it is through: else each rebalance would give a
    job that kills workers one more start that nobody charges.
    """
    left = f":{suspect_before}" if position < suspect_before else ""
    return f"{CLEAN}{claim}{left}"


def left_suspect(note: str, claim: int | None) -> int | None:
    """The offset below which jobs are suspect still, 0 for none; None if the note is not clean.

    It is clean only as the word of the partition's last owner, the one with `claim`; with None,
    of whoever wrote it.
    """
    kind, _, rest = note.partition(":")
    owner, _, before = rest.partition(":")
    if f"{kind}:" != CLEAN or not owner.isdecimal() or (before and not before.isdecimal()):
        return None
    if claim is not None and int(owner) != claim:
        return None
    return int(before or 0)
