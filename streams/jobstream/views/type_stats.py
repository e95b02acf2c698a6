"""How job types went within a window, from the minutes that the projection keeps."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

from sqlalchemy import select

from jobstream.views.buckets import percentile
from jobstream.views.db_tables import minutes
from jobstream.views.job_writing import MINUTE_MS, RETRIED
from jobstream.views.view_answers import TypeStats

if TYPE_CHECKING:
    from sqlalchemy import Connection

WINDOW_S_MAX = 86_400.0


def types(connection: Connection, until_ms: int, window_s: float) -> tuple[TypeStats, ...]:
    """By type, the most frequent first; the window is cut to a day."""
    window_s = max(60.0, min(window_s, WINDOW_S_MAX))
    first = int(until_ms - window_s * 1000) // MINUTE_MS + 1
    query = select(minutes).where(minutes.c.minute >= first)
    by_type: dict[str, list[Any]] = defaultdict(list)
    for row in connection.execute(query):
        by_type[row.job_type].append(row)
    found = [_stats(name, rows, window_s) for name, rows in by_type.items()]
    return tuple(sorted(found, key=lambda each: (-each.ended - each.failed, each.job_type)))


def _stats(job_type: str, rows: list[Any], window_s: float) -> TypeStats:
    by_outcome: dict[str, int] = defaultdict(int)
    took: dict[int, int] = defaultdict(int)
    per_minute: dict[int, list[int]] = defaultdict(lambda: [0, 0])
    slowest: tuple[int, str] = (-1, "")
    for row in rows:
        by_outcome[row.outcome] += row.n
        per_minute[row.minute][1 if row.outcome in {RETRIED, "dead"} else 0] += row.n
        if row.outcome == "done":
            took[row.bucket] += row.n
        slowest = max(slowest, (row.slowest_ms, row.slowest_id))
    ended = sum(n for outcome, n in by_outcome.items() if outcome != RETRIED)
    return TypeStats(
        job_type=job_type,
        ended=ended,
        done=by_outcome["done"],
        failed=by_outcome[RETRIED] + by_outcome["dead"],
        dead=by_outcome["dead"],
        rate=ended / window_s,
        p50_ms=percentile(took, 0.50),
        p95_ms=percentile(took, 0.95),
        slowest_ms=slowest[0] if slowest[0] >= 0 else None,
        slowest_id=slowest[1],
        per_minute=tuple(
            (minute * MINUTE_MS, per_minute[minute][0], per_minute[minute][1])
            for minute in sorted(per_minute)
        ),
    )
