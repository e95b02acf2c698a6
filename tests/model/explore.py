"""Breadth first through every world that the budget allows: the trace of a violation is shortest.

Properties are judged in every world, and the final ones where no progress is left.
"""

from __future__ import annotations

import gc
from collections import Counter
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from tests.model.product import POLICY, carried_of, told_by
from tests.model.replay import starts
from tests.model.surroundings import commits, progress, trouble, window_passes
from tests.model.world import REDRIVES, World

from jobstream_processors.core import known, letters

if TYPE_CHECKING:
    from tests.model.rules import Rules
    from tests.model.world import Headers

    from jobstream_processors.core.known import Known


@dataclass(frozen=True, slots=True)
class Report:
    """What an exploration found."""

    states: int
    at_rest: int
    violation: str = ""
    trace: tuple[str, ...] = ()


def explore(first: World, rules: Rules, outcomes: tuple[int, ...]) -> Report:
    """Visit every world reachable from `first`; stops at the first violation."""
    # Worlds are values without cycles: looking for garbage among them costs a fifth of the time.
    gc.disable()
    try:
        return _explore(first, rules, outcomes)
    finally:
        gc.enable()


def _explore(first: World, rules: Rules, outcomes: tuple[int, ...]) -> Report:
    came_from: dict[World, tuple[World, str] | None] = {first: None}
    layer, at_rest = [first], 0
    while layer:
        following: list[World] = []
        for world in layer:
            steps = list(progress(world, rules, outcomes)) or list(commits(world, rules))
            violation = broken(world, rules, first.budget.faults - world.budget.faults)
            if not steps:
                at_rest += 1
                violation = violation or broken_at_rest(world)
                steps += window_passes(world)
            if violation:
                return Report(len(came_from), at_rest, violation, trace(came_from, world))
            steps += trouble(world, rules, outcomes)
            for label, after in steps:
                if after not in came_from:
                    came_from[after] = (world, label)
                    following.append(after)
        layer = following
    return Report(len(came_from), at_rest)


def trace(came_from: dict[World, tuple[World, str] | None], world: World) -> tuple[str, ...]:
    """What happened on the way to `world`."""
    labels: list[str] = []
    step = came_from[world]
    while step is not None:
        world, label = step
        labels.append(label)
        step = came_from[world]
    return tuple(reversed(labels))


def broken(world: World, rules: Rules, troubles: int) -> str:
    """The property that does not hold in this world, or ""."""
    if world.broken:
        return world.broken
    if not is_kept(world, rules):
        return "the job is lost: neither live, nor ended, nor an open letter"
    if world.owner is not None and not covers(world.acked, world.owner.shard):
        return "the local shard tells what no acknowledged row does"
    if len({redrive for redrive, _ in world.ends}) < len(world.ends):
        return f"two ends of one redrive: {sorted(world.ends)}"
    return broken_copies(world.queue, troubles)


@cache
def covers(acked: Known, shard: Known) -> bool:
    return acked.merge(shard) == acked


@cache
def broken_copies(queue: tuple[Headers | None, ...], troubles: int) -> str:
    """Copies keep to the attempts and the redrive, and trouble explains every repeated one."""
    found = [carried_of(headers) for headers in queue if headers is not None]
    copies = Counter((carried.redrive, carried.seq) for carried in found)
    for (redrive, seq), count in copies.items():
        if redrive > REDRIVES or seq >= POLICY.backoff.attempts:
            return f"delivery {(redrive, seq)} is beyond the attempts and the redrive"
        if count > 1 + troubles:
            return f"{count} copies of {(redrive, seq)} after {troubles} troubles"
    return ""


def is_kept(world: World, rules: Rules) -> bool:
    """Whether somebody still holds the job, or it has an end that needs nobody."""
    told = told_by(world.rows)
    if world.letters or has_ended(world, told):
        return True
    if world.redriver is not None and not rules.redrive_copy_first:
        return True  # the redriver still holds it; what matters is what its death leaves
    following = starts(rules, world.committed, len(world.queue), world.mirror)
    start = following.start
    done = {offset for low, high in following.mirror[1] for offset in range(low, high)}
    live = [standing.headers for standing in world.rungs]
    for offset, headers in enumerate(world.queue):
        if headers is not None and offset >= start and offset not in done:
            live.append(headers)
    found = map(carried_of, live)
    return any(rules.absorbs(told, carried.redrive, carried.seq) is None for carried in found)


def has_ended(world: World, told: Known) -> bool:
    """Whether the job is done, or was cancelled in its newest redrive: no letter is owed.

    Judged by either source: a late `dead` row of a frozen worker outranks `cancelled` in the topic.
    """
    return any(found.done or is_cancelled(world, found) for found in (world.acked, told))


def is_cancelled(world: World, found: Known) -> bool:
    redrive, rank = found.ended
    return redrive >= world.redrives and rank == known.rank_of(known.CANCELLED)


def broken_at_rest(world: World) -> str:
    """The property that does not hold although nothing is left to do, or ""."""
    owner = world.owner
    if owner is None or owner.begun < len(world.queue) or world.rungs:
        return "nothing goes on although work is left"
    if world.mirror != (len(world.queue), ()) or world.committed != len(world.queue):
        return f"the watermark stays at {world.mirror}, {world.committed}"
    stale = [redrive for redrive, _ in world.letters if letters.is_stale(owner.shard, redrive)]
    if stale:
        return f"the letter of redrive {stale[0]} is open although its job went on"
    if not world.acked.done and world.acked.ended[0] < world.redrives:
        return f"redrive {world.redrives} has no end"
    return ""
