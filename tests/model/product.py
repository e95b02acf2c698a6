"""Where the model runs the product: decisions, headers, rows, rungs and watermarks, all real.

Each function is cached by its arguments: they are pure, so a repeated call tells nothing new.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from tests.model.world import Standing

from jobstream_processors.core import headers, ladder
from jobstream_processors.core.decide import Case, Policy, decide
from jobstream_processors.core.known import UNKNOWN, Known
from jobstream_processors.core.outcome import DONE, Cancelled, Raised
from jobstream_processors.core.retry import Backoff
from jobstream_processors.core.watermark import Watermark
from jobstream_processors.delivery import Delivery
from jobstream_processors.lane import Lane
from jobstream_processors.queues import QueuePlan
from jobstream_processors.settlement import fact_of, settlement
from jobstream_schemas import decode_row

if TYPE_CHECKING:
    from tests.model.rules import Rules
    from tests.model.world import Headers, Ranges

    from jobstream_processors.core.decide import Decision
    from jobstream_processors.core.headers import Trip
    from jobstream_processors.core.outcome import Outcome
    from jobstream_processors.settlement import Settlement

NOW_MS = 1_700_000_000_000
WINDOW_MS = 86_400_000
OUTCOMES: tuple[Outcome, ...] = (
    DONE,
    Raised("builtins.OSError", "out of luck", ("builtins.OSError", "builtins.Exception")),
    Cancelled("no longer wanted"),
)
"""What a run may end in: the explorer tries each."""
POLICY = Policy(Backoff(attempts=2, first="5s", jitter=False))
PLAN = QueuePlan(
    name="email",
    topic="queue",
    dlq="letters",
    dedup="rows",
    partitions=1,
    window_ms=WINDOW_MS,
    rungs={rung: (rung, 1) for rung in ladder.RUNGS},
)


class Wanted(NamedTuple):
    """What one outcome publishes: a copy on a rung or a letter, if any, and a row."""

    rung: str
    """Name of the rung of the copy; "" without one."""
    copy: Headers
    """Headers of the copy or the letter; empty without either."""
    key: bytes
    row: bytes
    fact: Known
    end: str
    """The terminal state that the row tells; "" for none."""


@cache
def trip_of(found: Headers) -> Trip:
    return headers.parse(found)


@cache
def wanted(rules: Rules, found: Headers, outcome: int) -> Wanted:
    """Decide as the worker does, and render what it would publish."""
    trip = trip_of(found)
    decision = decide(Case("job", trip, POLICY, NOW_MS, WINDOW_MS), OUTCOMES[outcome])
    result = _settlement(found, decision)
    row = decode_row(result.row.value or b"")
    rung = ""
    copy: Headers = ()
    if result.copy is not None:
        copy = tuple(result.copy.headers or ())
        rung = result.copy.topic if result.copy.topic != PLAN.dlq else ""
    if rung:
        copy = tuple(headers.render(rules.climbed(trip, trip_of(copy))))
    key = rules.row_key(result.row.key or b"")
    return Wanted(rung, copy, key, result.row.value or b"", result.fact, row.state)


def _settlement(found: Headers, decision: Decision) -> Settlement:
    lane = Lane(PLAN.name, (PLAN.topic, 0), WINDOW_MS, window=10)
    # The origin told by headers decides nothing, so every delivery is given the same offset.
    delivery = Delivery(lane, 0, b"event", b"key")
    delivery.id = "job"
    delivery.headers = list(found)
    delivery.trip = trip_of(found)
    result = settlement(delivery, decision, PLAN, NOW_MS)
    assert result is not None, "every outcome tried here is settled by a row"
    return result


@cache
def told_by(rows: tuple[tuple[bytes, bytes], ...]) -> Known:
    """What a restore of these rows knows of the job."""
    found = UNKNOWN
    for _, value in rows:
        found = found.merge(fact_of(decode_row(value)))
    return found


@cache
def mark_of(start: int, finished: Ranges, begun: int, unfinished: frozenset[int]) -> Watermark:
    """The watermark after these offsets were begun and all but `unfinished` finished."""
    mark = Watermark(start, finished)
    for offset in range(start, begun):
        if mark.begin(offset) and offset not in unfinished:
            mark.finish(offset)
    return mark


@cache
def hop(standing: Standing) -> tuple[Headers, Standing | None]:
    """Where a copy goes when its rung lets it: (headers for the queue, None) or (_, next rung)."""
    trip = trip_of(standing.headers)
    due_ms = trip.due_ms or standing.appended_ms + (trip.delay_ms or 0)
    wait = ladder.Wait(standing.rung, standing.appended_ms, due_ms)
    rung = ladder.next_stop(wait, wait.leaves_ms)
    moved = replace(trip, delay_ms=None, due_ms=due_ms)
    copy = tuple(headers.render(moved, standing.headers))
    return copy, None if rung is None else Standing(copy, rung, wait.leaves_ms)


@cache
def redriven(rules: Rules, letter: Headers) -> Headers:
    return tuple(headers.render(rules.redriven(trip_of(letter))))
