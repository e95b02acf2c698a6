"""Where the model runs the product: decisions, headers, rows, rungs and watermarks, all real.

Each function is cached by its arguments: they are pure, so a repeated call tells nothing new.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING

from tests.model.world import Standing

from jobstream_processors.assignment.lane import Arrival, Lane
from jobstream_processors.core import headers, ladder
from jobstream_processors.core.decide import Case, decide
from jobstream_processors.core.known import UNKNOWN, Known
from jobstream_processors.core.outcome import DONE, Cancelled, Raised
from jobstream_processors.core.policy import Policy
from jobstream_processors.core.retry import Backoff
from jobstream_processors.core.watermark import Watermark
from jobstream_processors.delivery import Delivery
from jobstream_processors.queue_plan import QueuePlan
from jobstream_processors.row_facts import fact_of
from jobstream_schemas import decode_row

if TYPE_CHECKING:
    from tests.model.rules import Rules
    from tests.model.world import Headers, Ranges

    from jobstream_processors.core.decide import Decision
    from jobstream_processors.core.headers import Carried
    from jobstream_processors.core.outcome import Outcome
    from jobstream_processors.ports import Shard

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


@cache
def carried_of(found: Headers) -> Carried:
    return headers.parse(found)


@cache
def decided(found: Headers, outcome: int) -> Decision:
    """Decide as the worker does."""
    return decide(Case("job", carried_of(found), POLICY, NOW_MS, WINDOW_MS), OUTCOMES[outcome])


def delivery_of(found: Headers, shard: Shard) -> Delivery:
    """The delivery with these headers, in a lane of its own on this shard."""
    arrival = Arrival(PLAN.name, (PLAN.topic, 0), WINDOW_MS, window=10)
    lane = Lane(arrival, shard, Watermark(0))
    # The origin told by headers decides nothing, so every delivery is given the same offset.
    delivery = Delivery(lane, 0, b"event", b"key")
    delivery.id = "job"
    delivery.headers = list(found)
    delivery.carried = carried_of(found)
    return delivery


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
    carried = carried_of(standing.headers)
    due_ms = carried.due_ms or standing.appended_ms + (carried.delay_ms or 0)
    wait = ladder.Wait(standing.rung, standing.appended_ms, due_ms)
    rung = ladder.next_stop(wait, wait.leaves_ms)
    moved = replace(carried, delay_ms=None, due_ms=due_ms)
    copy = tuple(headers.render(moved, standing.headers))
    return copy, None if rung is None else Standing(copy, rung, wait.leaves_ms)


@cache
def redriven(rules: Rules, letter: Headers) -> Headers:
    return tuple(headers.render(rules.redriven(carried_of(letter))))
