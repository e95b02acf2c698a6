"""What a Kafka client with a fault does to its reader: leaves records out, or repeats them."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from tests.simulation.ledger import DELAYERS, PLAN, WORKERS

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from tests.simulation.network import SimSource
    from tests.simulation.world import World

WAVES, WAVE_S = 3, 8
SECOND = 1_000_000
SEEN = {PLAN.topic, PLAN.rungs["0s"][0], PLAN.rungs["5s"][0]}
"""Topics to which something comes once all is healed."""


def _sources(world: World, group: str) -> list[SimSource]:
    return [s for m in world.members for s in m.sources if s.group == group]


def skip(world: World, rng: Random) -> None:
    """A client leaves out a record of the queue that it should deliver next, once or twice."""
    _leave_out(world, rng, WORKERS)
    world.ledger.is_out_of_order = world.ledger.is_out_of_order or bool(world.left_out)
    world.disturbed(20)


def skip_rung(world: World, rng: Random) -> None:
    """The same on a rung: only what comes after it shows that a record is missing."""
    _leave_out(world, rng, DELAYERS)
    world.disturbed(world.length_s + WAVES * WAVE_S + 20)


def _leave_out(world: World, rng: Random, group: str) -> None:
    for source in _sources(world, group):
        for place, position in source.places():
            offset, times = position + rng.choice((0, 0, 1, 3)), rng.choice((1, 2))
            if place[0] in SEEN and (place, offset) not in world.left_out and rng.random() < 0.5:
                # More often would be a client that can't be worked with: the partition stops.
                world.left_out.add((place, offset))
                world.trace.tell("left out", source.member, *place, offset, times)
                source.leave_out(place, offset, times)


def repeat(world: World, rng: Random) -> None:
    """What a client delivers next of some partitions it delivers twice."""
    for source in (*_sources(world, WORKERS), *_sources(world, DELAYERS)):
        for place, _ in source.places():
            if rng.random() < 0.5:
                world.trace.tell("repeated", source.member, *place)
                source.repeat(place)


def show_what_is_missing(world: World) -> None:
    """That something was left out can be seen by what comes after it."""
    delays = {0.0 if topic == PLAN.topic else 6.0 for (topic, _), _ in world.left_out}
    for number in range(WAVES if delays else 0):
        for delay_s in sorted(delays):
            at_us = number * WAVE_S * SECOND
            world.scheduler.at(at_us, partial(world.wave, 20, delay_s=delay_s))
    # After the last wave nothing need come that could show it.
    world.scheduler.at((WAVES - 1) * WAVE_S * SECOND - 1, partial(_mend, world))
    world.length_s += WAVES * WAVE_S if delays else 0


def _mend(world: World) -> None:
    for source in (*_sources(world, WORKERS), *_sources(world, DELAYERS)):
        source.leave_nothing_out()


KINDS: tuple[Callable[[World, Random], None], ...] = (skip, skip_rung, repeat)
