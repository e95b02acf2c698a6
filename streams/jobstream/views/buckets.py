"""Times in ranges that grow: eight to a doubling, so that a percentile is right within 9 %."""

from __future__ import annotations

from math import log2

UNTOLD = -1
"""Of a time that nothing tells."""
_STEPS = 8


def bucket_of(took_ms: int | None) -> int:
    """The range in which a time lies."""
    return UNTOLD if took_ms is None else round(_STEPS * log2(1 + took_ms))


def ms_of(bucket: int) -> float:
    """A time in the middle of a range."""
    return float(2 ** (bucket / _STEPS) - 1)


def percentile(counts: dict[int, int], share: float) -> float | None:
    """The time below which that share of all lies; None where none is told."""
    told = sorted((bucket, n) for bucket, n in counts.items() if bucket != UNTOLD)
    total = sum(n for _, n in told)
    left = share * total
    for bucket, n in told:
        left -= n
        if left <= 0:
            return ms_of(bucket)
    return None
