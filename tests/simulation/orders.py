"""What operators tell the workers of types with rules: each order for some seconds, then its end.

Drawn apart from all else, so that seeds without them stay what they were.
"""

from __future__ import annotations

from functools import partial
from random import Random
from typing import TYPE_CHECKING

from tests.simulation import jobs, operators
from tests.simulation.ruled import PARTNER, RULED, RULES

from jobstream_processors.core.orders import (
    CANCEL,
    HOLD_BREAKER,
    NO_LIMITS,
    OPEN,
    PAUSE_QUEUE,
    PAUSE_TYPE,
    SET_LIMIT,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tests.simulation.plan import Plan
    from tests.simulation.world import World

SECOND = 1_000_000
HEARD_US = 3 * SECOND
"""When every worker acts on an order, where nothing goes wrong."""
SLOWER: dict[str, Mapping[str, int]] = {
    "newest/rate/account": {"starts": 1, "period_ms": 4_000, "burst": 1},
    "paced/rate/account": {"starts": 1, "period_ms": 5_000, "burst": 1},
    "paced/concurrency/account": {"concurrency": 1},
    "keyed/rate/tenant": {"starts": 1, "period_ms": 3_000, "burst": 1},
    "child/concurrency/account": {"concurrency": 1},
}
"""Limits with lower numbers than the code's, so that what is promised holds all the while."""


def begin(world: World, plan: Plan) -> None:
    """Draw the orders of this seed, and let them come at their times."""
    rng = Random(f"{world.scheduler.seed} orders")
    for _ in range(plan.orders):
        at_us = round(rng.uniform(1.0, plan.length_s) * SECOND)
        act = rng.choice((_pause, _limit, _breaker, _cancel))
        world.scheduler.at(at_us, partial(act, world, rng))


def _pause(world: World, rng: Random) -> None:
    ledger, paused = world.ledger, {subject for subject, *_ in world.ledger.rules.paused_us}
    # A type is paused once: the end of one pause would end another, too.
    kinds = {script.kind for script in ledger.scripts} & (RULED.keys() - paused)
    types = [(PAUSE_TYPE, name) for name in sorted(kinds)]
    kind, subject = rng.choice([(PAUSE_QUEUE, jobs.mail.name), *types])

    def told(since_us: int, until_us: int) -> None:
        ledger.rules.paused_us.append((subject, since_us + HEARD_US, until_us))

    _for_a_time(world, rng, kind, subject, told=told if kind == PAUSE_TYPE else None)


def _limit(world: World, rng: Random) -> None:
    name = rng.choice(sorted(SLOWER))
    changes = world.ledger.rules.changes
    job_type = name.partition("/")[0]
    changes[job_type] = changes.get(job_type, 0) + 2
    _for_a_time(world, rng, SET_LIMIT, name, SLOWER[name])


def _breaker(world: World, rng: Random) -> None:
    is_open, rules = rng.randrange(2), world.ledger.rules
    if rules.is_handled:
        return  # One order takes the place of another: once is enough to be judged.
    rules.is_handled = True

    def told(since_us: int, until_us: int) -> None:
        if is_open:
            rules.held_us.append((since_us + HEARD_US, until_us))

    _for_a_time(world, rng, HOLD_BREAKER, PARTNER.name, {OPEN: is_open}, told)


def _cancel(world: World, rng: Random) -> None:
    """A job that has no end yet, wherever it is."""
    ledger = world.ledger
    open_ones = [s for s in ledger.scripts if s.job_id in ledger.waiting and s.kind in RULES]
    if not open_ones:
        return
    script = rng.choice(open_ones)
    script.cancelled_at_s = world.scheduler.now_us / SECOND
    script.ends |= {"cancelled"}
    control = jobs.app.control
    operators.tell(
        world, lambda: control.tell(CANCEL, script.job_id, why="", for_=None, who="somebody")
    )


def _for_a_time(  # noqa: PLR0917 - one order
    world: World,
    rng: Random,
    kind: str,
    subject: str,
    limits: Mapping[str, int] = NO_LIMITS,
    told: Callable[[int, int], None] | None = None,
) -> None:
    """Give the order, and end it after some seconds."""
    scheduler, control, seconds = world.scheduler, jobs.app.control, rng.choice((3.0, 6.0, 15.0))
    world.trace.tell("ordered", kind, subject, sorted(limits.items()), seconds)
    world.disturbed(seconds + 10)
    said = {"why": "simulated", "for_": "1h", "who": "somebody", "limits": limits}

    def give() -> None:
        control.tell(kind, subject, **said)  # type: ignore[arg-type] # as it takes them
        if told is not None:
            told(scheduler.now_us, until_us)

    until_us = scheduler.now_us + round(seconds * SECOND)
    operators.tell(world, give)
    scheduler.at(
        round(seconds * SECOND),
        lambda: operators.tell(world, partial(control.lift, kind, subject), insist=True),
    )
