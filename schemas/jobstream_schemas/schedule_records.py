"""The three records of the schedules topic, to bytes and back: definition, place, order.

All records of one schedule stand in one partition, under keys of their own: so a deploy that writes
a definition, an operator who writes a pause and a scheduler that writes a place never overwrite
each other.
"""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

from jobstream_schemas.errors import DecodeError
from jobstream_schemas.packaged import PackagedRecord

SCHEDULE_FINGERPRINT = bytes.fromhex("a33364da5a04dc1e")
PLACE_FINGERPRINT = bytes.fromhex("825edc3a45ac4db5")
PLACE_EARLIER = {bytes.fromhex("e07b3b987e727804"): ("topic_id",)}
"""Forms of a place that are read, too, by fingerprint, and the fields that came since."""
ORDER_FINGERPRINT = bytes.fromhex("8a2c885a552a0b35")

_SCHEDULE_BYTES_MAX = 1_048_576
_SMALL_BYTES_MAX = 16_384
_SCHEDULE = PackagedRecord("schedule", "schedule", SCHEDULE_FINGERPRINT, _SCHEDULE_BYTES_MAX)
_PLACE = PackagedRecord(
    "schedule_place", "place of a schedule", PLACE_FINGERPRINT, _SMALL_BYTES_MAX, PLACE_EARLIER
)
_ORDER = PackagedRecord(
    "schedule_order", "order to a schedule", ORDER_FINGERPRINT, _SMALL_BYTES_MAX
)


class ScheduleRecord(NamedTuple):
    """A definition. Either `cron` or `every_ms` is set."""

    name: str
    job_type: str
    cron: str
    zone: str
    every_ms: int
    anchor_ms: int
    missed: str
    catch_up_ms: int
    overlap: str
    spread_ms: int
    event: bytes
    source: str
    who: str
    since_ms: int = 0


class PlaceRecord(NamedTuple):
    """How far a schedule has come."""

    name: str
    through_ms: int
    fired_ms: int = 0
    job_id: str = ""
    topic: str = ""
    partition: int = 0
    looked: int = 0
    pending_ms: int = 0
    fired: int = 0
    missed: int = 0
    merged: int = 0
    skipped: int = 0
    topic_id: str = ""


class OrderRecord(NamedTuple):
    """What an operator wants of a schedule."""

    name: str
    kind: str
    order_id: str
    who: str
    why: str
    from_ms: int
    until_ms: int


ScheduleEntry: TypeAlias = ScheduleRecord | PlaceRecord | OrderRecord

SCHEDULE, PLACE, RUN, BACKFILL = "schedule", "place", "run", "backfill"
PAUSE, RESUME = "pause", "resume"
"""A pause and its end stand under one key, that of the pause."""


def schedule_key(kind: str, name: str, order_id: str = "") -> bytes:
    """The Kafka key of a record about the schedule `name`."""
    return f"{kind}:{name}{f':{order_id}' if order_id else ''}".encode()


def parse_schedule_key(key: bytes) -> tuple[str, str, str]:
    """(kind, name, order id) of a key; raises `DecodeError` for one of another form."""
    try:
        kind, name, *rest = key.decode().split(":")
        (order_id,) = rest or ("",)
    except ValueError as error:
        message = f"key {key[:200]!r} is none of a schedule's"
        raise DecodeError(message) from error
    return kind, name, order_id


def key_of(entry: ScheduleEntry) -> bytes:
    """The Kafka key under which an entry stands."""
    match entry:
        case ScheduleRecord():
            return schedule_key(SCHEDULE, entry.name)
        case PlaceRecord():
            return schedule_key(PLACE, entry.name)
        case OrderRecord():
            kind = PAUSE if entry.kind == RESUME else entry.kind
            return schedule_key(kind, entry.name, entry.order_id)


def encode_schedule(entry: ScheduleEntry) -> bytes:
    """The framed value; raises `EncodeError` for a value that has no Avro form."""
    record = {ScheduleRecord: _SCHEDULE, PlaceRecord: _PLACE, OrderRecord: _ORDER}[type(entry)]
    return record.encode(entry, entry._asdict())


def decode_schedule(key: bytes, value: bytes) -> ScheduleEntry:
    """The entry under a key; raises `DecodeError`, `UnknownSchema` for one of another version."""
    kind, name, order_id = parse_schedule_key(key)
    entry: ScheduleEntry
    if kind == SCHEDULE:
        entry = ScheduleRecord(**_SCHEDULE.decode(value))
    elif kind == PLACE:
        entry = PlaceRecord(**_PLACE.decode(value))
    elif kind in {PAUSE, RUN, BACKFILL}:
        entry = OrderRecord(**_ORDER.decode(value))
    else:
        message = f"key {key[:200]!r}: {kind!r} is no kind of record about a schedule"
        raise DecodeError(message)
    if key_of(entry) != key:
        message = (
            f"an entry about {entry.name!r} stands under {schedule_key(kind, name, order_id)!r}"
        )
        raise DecodeError(message)
    return entry
