"""Where deliveries wait before they run, and why: one room for the deliveries of each lane.

A delivery waits at one place at a time, and its `waits` says for what. Deliveries that a gate holds
go on in the order of offsets; those that share an order key, in the order in which they were begun.
The gates decide which deliveries wait, and the engine puts them here and takes them out.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

from jobstream_processors.core.keychains import KeyChains
from jobstream_processors.delivery import offset_of
from jobstream_processors.engine.unannounced import Unannounced

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from jobstream_processors.assignment.lane import Lane
    from jobstream_processors.delivery import Delivery

Reason = str
"""Why a delivery waits or a lane is shut, in one word: one of these, or the word of a gate."""
SAME_ID = "same_id"
"""Another delivery of its id is in flight."""
KEY = "key"
"""Another job has its order key."""
LATER = "later"
"""It is to run at a time to come, or behind a run of the same job."""
UNANNOUNCED = "unannounced"
"""No mirror has announced yet that it may begin."""


class WaitingRoom:
    """Where the deliveries of one lane wait. Used on the event loop's thread."""

    def __init__(self, lane: Lane) -> None:
        self.lane = lane
        self.draining = False
        """Nothing more starts; what runs may end and settle."""
        self.shut: tuple[Reason, ...] = ()
        """Why nothing of the lane begins; empty nearly always."""
        self.sifted = False
        """Whether a gate may keep some of its deliveries and let others go."""
        self.reserved = (lane.watermark.begun, 0)
        """How far jobs were taken up when more was wanted last, and when (monotonic)."""
        self.chains: KeyChains[Delivery] = KeyChains()
        self.later: set[Delivery] = set()
        self.held: OrderedDict[Delivery, None] = OrderedDict()
        """Deliveries that would begin, but the lane is shut."""
        self.aside: dict[Delivery, None] = {}
        """Deliveries that a gate keeps while others of the lane go on."""
        self.unannounced = Unannounced()

    @property
    def is_shut(self) -> bool:
        """Whether nothing of the lane begins, of what was taken up or of what comes."""
        return self.draining or bool(self.shut) or bool(self.held)

    def hold(self, delivery: Delivery) -> None:
        """Let it wait behind what is held until the lane is not shut any more."""
        delivery.waits = self.shut[0] if self.shut else next(iter(self.held)).waits
        self.held[delivery] = None

    def set_aside(self, delivery: Delivery, reason: Reason) -> None:
        """Let it wait, and others of its lane go on."""
        delivery.waits = reason
        self.aside[delivery] = None
        self.lane.tell(self.shut, len(self.aside))

    def put_off(self, delivery: Delivery) -> None:
        """Let it wait for its time."""
        delivery.waits = LATER
        self.later.add(delivery)

    def keep_unannounced(self, deliveries: Sequence[Delivery]) -> None:
        """Let these, in order of offsets, wait for the mirror."""
        for delivery in deliveries:
            delivery.waits = UNANNOUNCED
        self.unannounced.add(deliveries)

    def announced(self, below: int) -> list[Delivery]:
        """Take out what waited for the mirror that announces so much."""
        found = self.unannounced.below(below)
        for delivery in found:
            delivery.waits = None
        return found

    def due(self, now_ms: int) -> list[Delivery]:
        """Take out those whose time has come; not while an earlier run of one goes on."""
        found = [d for d in self.later if (d.due_ms or 0) <= now_ms and not d.outlived]
        for delivery in found:
            self.remove(delivery)
            delivery.due_ms = None
        return found

    def next_of(self, key: str) -> Delivery | None:
        """The key is free: the delivery that has it from now on, if any waits."""
        following = self.chains.free(key)
        if following is not None:
            following.waits = None
        return following

    def first_held(self) -> Delivery | None:
        """The held delivery that goes on first."""
        return next(iter(self.held), None)

    def gather(self, taken_back: Iterable[Delivery]) -> None:
        """Hold, in order of offsets, what was taken back and what waits but for key or time."""
        back = sorted((*taken_back, *self.unannounced, *self.aside, *self.held), key=offset_of)
        self.unannounced.clear()
        self.aside.clear()
        self.held = OrderedDict.fromkeys(back)
        for delivery in back:
            delivery.waits = self.shut[0] if self.shut else None
        self.lane.tell(self.shut, 0)

    def remove(self, delivery: Delivery) -> bool:
        """Take it out from where it waits; whether it has its order key, if it has one."""
        reason, delivery.waits = delivery.waits, None
        if reason == KEY:
            assert delivery.key is not None, "it waits for its key"  # noqa: S101
            self.chains.leave(delivery.key, delivery)
            return False
        if reason == LATER and delivery in self.later:  # A gate may keep it for that, too.
            self.later.discard(delivery)
        elif reason == UNANNOUNCED:
            self.unannounced.remove(delivery)
        elif delivery in self.aside:
            del self.aside[delivery]
            self.lane.tell(self.shut, len(self.aside))
        else:
            self.held.pop(delivery, None)
        return True

    def unbegun(self) -> list[Delivery]:
        """What waits here, but for its order key: a gate may count on it."""
        return [*self.later, *self.held, *self.aside, *self.unannounced]

    def clear(self) -> None:
        """Let nothing wait here but for order keys, whose holders may still run."""
        for delivery in self.unbegun():
            delivery.waits = None
        for place in (self.later, self.held, self.aside, self.unannounced):
            place.clear()
        self.lane.tell(self.shut, 0)

    def __iter__(self) -> Iterator[tuple[Delivery, Reason]]:
        """Each delivery that waits here, and why."""
        places = (self.later, self.held, self.aside, self.unannounced, self.chains.waiting())
        for place in places:
            for delivery in place:
                assert delivery.waits is not None, "it waits"  # noqa: S101
                yield delivery, delivery.waits


class WaitingRooms:
    """Every room of one process, and what waits for another delivery of its id, of any lane."""

    def __init__(self) -> None:
        self.rooms: dict[Lane, WaitingRoom] = {}
        """Those of lanes that have not ended."""
        self.of_id: dict[str, list[Delivery]] = {}
        """Those that wait for another of their id, by it; empty nearly always."""

    def room(self, lane: Lane) -> WaitingRoom:
        """The room of a lane that has not ended; made at first need."""
        room = self.rooms.get(lane)
        if room is None:
            room = self.rooms[lane] = WaitingRoom(lane)
        return room

    def wait_for_id(self, delivery: Delivery) -> None:
        """Let it wait until no other delivery of its id is in flight."""
        delivery.waits = SAME_ID
        self.of_id.setdefault(delivery.id, []).append(delivery)

    def forget_ids(self, lane: Lane) -> None:
        """Let no delivery of the lane wait for another of its id."""
        for job_id, waiting in list(self.of_id.items()):
            kept = [d for d in waiting if d.lane is not lane]
            if kept:
                self.of_id[job_id] = kept
            else:
                del self.of_id[job_id]

    def __iter__(self) -> Iterator[tuple[Delivery, Reason]]:
        """Each delivery that waits, and why."""
        for room in self.rooms.values():
            yield from room
        for waiting in self.of_id.values():
            for delivery in waiting:
                yield delivery, SAME_ID
