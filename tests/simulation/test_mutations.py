"""The simulation can fail: each fault that the product once had is found when it is put back.

Each is looked for among the first seeds with the trouble that it needs, and nothing else that goes
wrong there is taken for it. The sound product stays blameless in the same seeds.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from random import Random

import pytest
from tests.simulation import more_mutations, mutations, troubles
from tests.simulation.plan import SLEPT
from tests.simulation.world import play

SEEDS_MAX = 40
COMPILED = {"a snooze uses an attempt", "the window has no end"}
"""Faults that are put back into compiled code, which goes on as it was."""


@dataclass(frozen=True, slots=True)
class Sought:
    """A fault, the trouble that brings it out, and what must be said of it."""

    fault: Callable[[], AbstractContextManager[None]]
    kinds: tuple[str, ...]
    said: tuple[str, ...]
    narrow: bool = False


SOUGHT = {
    "a rung drops what has no room and never fetches it again": Sought(
        mutations.rung_drops_what_has_no_room, (), ("sim.delay commits", "has no end"), narrow=True
    ),
    "time limits are set by one clock and judged by another": Sought(
        mutations.limits_judged_by_another_clock, (SLEPT,), ("timed out after",)
    ),
    "a revocation cuts long jobs beside which their successors start": Sought(
        mutations.revoked_partitions_are_cut, ("rebalance",), ("starts while job",)
    ),
    "a lane reads on in a topic that was made anew and commits there": Sought(
        mutations.places_without_their_topic, ("recreate",), ("sim commits",)
    ),
    "children are named by the run of their parent": Sought(
        more_mutations.children_named_by_the_run, (), ("was enqueued by nobody",)
    ),
    "a snooze uses an attempt": Sought(
        more_mutations.snoozes_that_use_attempts, (), ("ended ['dead'], not ['done']",)
    ),
    "a redrive keeps the number of the letter": Sought(
        more_mutations.redrives_that_keep_their_number, ("redrive",), ("is closed and nothing",)
    ),
    "a rung reads on in a topic that was made anew and commits there": Sought(
        more_mutations.rungs_without_their_topic, ("recreate_rung",), ("sim.delay commits",)
    ),
    "what a rung's client left out is never looked for": Sought(
        more_mutations.holes_that_nobody_looks_into, ("skip_rung",), ("sim.delay commits",)
    ),
    "a record that is handed out again begins again": Sought(
        more_mutations.repeats_that_begin_again, ("repeat",), ("commits", "starts", "ended by")
    ),
    "a partition that comes back is claimed before its rows": Sought(
        more_mutations.claims_that_wait_for_no_row,
        ("elect", "lose"),
        ("starts again after its row",),
    ),
    "the window has no end": Sought(
        more_mutations.windows_without_an_end, (), ("are taken up",), narrow=True
    ),
    "a rung is never full": Sought(
        more_mutations.rungs_that_are_never_full, (), ("are kept, at most",), narrow=True
    ),
}


NAMES = [
    pytest.param(name, marks=[pytest.mark.pure("patches what is compiled")])
    if name in COMPILED
    else name
    for name in SOUGHT
]


@pytest.mark.parametrize("name", NAMES)
def test_a_fault_that_is_put_back_is_found(name: str, say: Callable[[object], None]) -> None:
    sought = SOUGHT[name]

    for seed in range(SEEDS_MAX):
        found = wrong(seed, sought, put_back=True)
        if any(text in found for text in sought.said):
            say(f"found in seed {seed}: {found}")
            assert not wrong(seed, sought, put_back=False)
            return

    pytest.fail(f"not found in {SEEDS_MAX} seeds")


def wrong(seed: int, sought: Sought, *, put_back: bool) -> str:
    """The first promise that breaks in a seed with that kind of trouble; "" if none does."""
    drawn = troubles.drawn(Random(seed))
    plan = replace(drawn, kinds=frozenset(sought.kinds), narrow=sought.narrow)
    with sought.fault() if put_back else nullcontext():
        return next(iter(play(seed, trouble=plan).wrong), "")
