"""Takes back what did not begin, and ends what is not wanted any more where it stands."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobstream_processors.delivery import HANDED, TAKEN
from jobstream_processors.job_types import PROCESS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from jobstream_processors.assignment.lane import Lane
    from jobstream_processors.delivery import Delivery
    from jobstream_processors.engine.onward import Onward
    from jobstream_processors.engine.waiting import WaitingRoom
    from jobstream_processors.execute.running import Executes


def withdraw(executors: Mapping[str, Executes], lane: Lane) -> list[Delivery]:
    """Take back what of `lane` waits for a slot."""
    taken = [d for executor in executors.values() for d in executor.withdraw(lane)]
    for delivery in taken:
        delivery.stage = TAKEN
    return taken


def look(way: Onward, room: WaitingRoom, *, anew: bool = False) -> None:
    """Ask the gates what shuts the lane; hold what did not begin, or let it go."""
    if way.admission.shuts(room, anew=anew):
        ask_again(way, (room,))


def ask_again(way: Onward, rooms: Iterable[WaitingRoom]) -> None:
    """Take back what did not begin of these lanes, and let go what may begin all the same."""
    for room in rooms:
        way.execute(room, way.admission.gather(room, withdraw(way.executors, room.lane)))


def end_instead(way: Onward, delivery: Delivery) -> None:
    """Stop it, or end it where it waits, if a gate says so and nothing is decided of it."""
    room = way.rooms.get(delivery.lane)
    if room is None or delivery.unwanted or not (end := way.admission.ends(delivery)):
        return
    if delivery.stage is HANDED:
        delivery.unwanted = end.reason
        assert delivery.spec is not None, "admitted deliveries have a handler"  # noqa: S101
        name = PROCESS if delivery.in_child else delivery.spec.executor
        way.executors[name].stop(delivery)
    elif delivery.stage is TAKEN:
        had_key = room.remove(delivery)
        way.admission.taken_back(room, (delivery,))
        if not had_key:
            delivery.key = None
        way.settle(delivery, end)
        if had_key and not delivery.holds_key:
            way.free_key(delivery)
