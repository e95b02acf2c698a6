"""What the schedules topic says of each schedule, folded from its records. Pure.

A record that can't be read is kept as that: a schedule that a newer version wrote stays as it is,
is shown, and fires where that version owns it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from jobstream_schemas import (
    DecodeError,
    OrderRecord,
    PlaceRecord,
    ScheduleRecord,
    decode_schedule,
    parse_schedule_key,
)

_DEFINITION, _PLACE, _PAUSE = "schedule", "place", "pause"


@dataclass(slots=True)
class Scheduled:
    """One schedule, as far as records tell of it."""

    name: str
    definition: ScheduleRecord | None = None
    unreadable: str = ""
    """Why its definition can't be read: another version wrote it."""
    since_ms: int = 0
    """No tick up to here fires."""
    place: PlaceRecord | None = None
    pause: OrderRecord | None = None
    """The last pause, also one that has ended, or its end."""
    paused_ms: tuple[int, int] = (0, 0)
    """When it began and when it ended, or ends; 0 where it has no end."""
    orders: dict[str, OrderRecord] = field(default_factory=dict)
    """Runs and backfills that are asked for, by their id."""
    order_ms: dict[str, int] = field(default_factory=dict)
    """When each of them was asked for."""

    @property
    def through_ms(self) -> int:
        """Every tick up to here is dealt with."""
        return max(self.since_ms, self.place.through_ms if self.place is not None else 0)

    @property
    def pending_ms(self) -> int:
        """The tick that waits for the end of the last job; 0 where none does."""
        place = self.place
        return place.pending_ms if place is not None and place.through_ms >= self.since_ms else 0

    def is_paused(self, now_ms: int) -> bool:
        """Whether a pause is in force at that moment of broker time."""
        began_ms, until_ms = self.paused_ms
        return self.pause is not None and now_ms >= began_ms and not 0 < until_ms <= now_ms

    @property
    def is_gone(self) -> bool:
        """Whether nothing is left of it."""
        return self.definition is None and not self.unreadable and self.pause is None


class ScheduleBook:
    """The schedules of some partitions, by name. Used by one thread."""

    def __init__(self) -> None:
        self.schedules: dict[str, Scheduled] = {}
        self.misread: dict[bytes, str] = {}
        """Records that are no definition and can't be read, with the reason."""

    def take(self, key: bytes, value: bytes | None, at_ms: int) -> str:
        """Learn from a record, None is a tombstone; returns the schedule's name, "" if unknown."""
        try:
            kind, name, order_id = parse_schedule_key(key)
        except DecodeError as error:
            self.misread[key] = str(error)
            return ""
        found = self.schedules.setdefault(name, Scheduled(name))
        if value is None:
            self._lift(found, kind, order_id)
            if found.is_gone and found.place is None and not found.orders:
                del self.schedules[name]
            return name
        try:
            entry = decode_schedule(key, value)
        except DecodeError as error:
            if kind == _DEFINITION:
                found.definition, found.unreadable = None, str(error)
            else:
                self.misread[key] = str(error)
            return name
        self.misread.pop(key, None)
        match entry:
            case ScheduleRecord():
                found.definition, found.unreadable = entry, ""
                found.since_ms = entry.since_ms or at_ms
            case PlaceRecord():
                # One that owned the partition before may have written late.
                if found.place is None or entry.through_ms >= found.place.through_ms:
                    found.place = entry
            case OrderRecord(kind="pause" | "resume"):
                lasts_ms = entry.until_ms if entry.kind == _PAUSE else 0
                ends = lasts_ms or entry.kind != _PAUSE
                found.pause = entry
                found.paused_ms = entry.from_ms or at_ms, at_ms + lasts_ms if ends else 0
            case OrderRecord():
                found.orders[order_id] = entry
                found.order_ms[order_id] = at_ms
        return name

    @staticmethod
    def _lift(found: Scheduled, kind: str, order_id: str) -> None:
        if kind == _DEFINITION:
            found.definition, found.unreadable = None, ""
        elif kind == _PLACE:
            found.place = None
        elif kind == _PAUSE:
            found.pause = None
        else:
            found.orders.pop(order_id, None)
            found.order_ms.pop(order_id, None)
