"""What a Kafka client with a fault does to its reader: leaves records out, or repeats them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.simulation.ledger import DELAYERS, WORKERS

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from tests.simulation.network import SimSource
    from tests.simulation.world import World

FETCHED_ANEW_S = 60
"""Above what it takes to notice by its log's end, and twice, that a record was left out."""


def _sources(world: World, group: str) -> list[SimSource]:
    return [s for m in world.members for s in m.sources if s.group == group]


def skip(world: World, rng: Random) -> None:
    """A client leaves out a record of the queue that it should deliver next, once or twice."""
    _leave_out(world, rng, WORKERS)
    world.ledger.is_out_of_order = world.ledger.is_out_of_order or bool(world.left_out)


def skip_rung(world: World, rng: Random) -> None:
    """The same on a rung."""
    _leave_out(world, rng, DELAYERS)


def _leave_out(world: World, rng: Random, group: str) -> None:
    for source in _sources(world, group):
        for place, position in source.places():
            offset, times = position + rng.choice((0, 0, 1, 3)), rng.choice((1, 2))
            if (place, offset) not in world.left_out and rng.random() < 0.5:
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


KINDS: tuple[Callable[[World, Random], None], ...] = (skip, skip_rung, repeat)
