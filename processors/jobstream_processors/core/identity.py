"""Ids that decide: derived wherever a repeat must collapse into one job."""

from __future__ import annotations

import uuid
from reprlib import repr as shown

from jobstream_processors.errors import InvalidOption

_SPACE = uuid.uuid5(uuid.NAMESPACE_URL, "urn:jobstream")
KEY_BYTES_MAX = 512
DRAWN_VERSION = 7
"""Of UUIDs that are drawn; those that are derived are of version 5."""


def from_caller(job_type: str, idempotency_key: object) -> str:
    """The id of every enqueue of `job_type` with this `idempotency_key`."""
    check_key("idempotency_key", idempotency_key)
    return str(uuid.uuid5(_SPACE, f"caller\n{job_type}\n{idempotency_key}"))


def from_parent(parent_id: str, job_type: str, name: str, occurrence: int) -> str:
    """The id of a child job: the same whenever the same attempt of the parent is run again."""
    return str(uuid.uuid5(_SPACE, f"child\n{parent_id}\n{job_type}\n{occurrence}\n{name}"))


def from_tick(schedule: str, tick_ms: int) -> str:
    """The id of the job of a tick: every scheduler that fires it makes that one job."""
    return str(uuid.uuid5(_SPACE, f"tick\n{schedule}\n{tick_ms}"))


def from_order(schedule: str, order_id: str) -> str:
    """The id of the job that an operator asked a schedule for, apart from its ticks."""
    return str(uuid.uuid5(_SPACE, f"run\n{schedule}\n{order_id}"))


def from_window(job_type: str, unique_key: str, length_ms: int, now_ms: int) -> str:
    """The id of every job of a unique key in the window of that length in which `now_ms` lies."""
    window = now_ms // length_ms
    return str(uuid.uuid5(_SPACE, f"window\n{job_type}\n{length_ms}\n{window}\n{unique_key}"))


def from_letter(job_id: str, redrive: int) -> str:
    """The id of the job that corrects a dead one: a letter is fixed once, however often asked."""
    return str(uuid.uuid5(_SPACE, f"fix\n{job_id}\n{redrive}"))


def from_origin(topic: str, partition: int, offset: int) -> str:
    """The name of a record whose own id can't be read or trusted: where it first stood."""
    return f"@{topic}:{partition}:{offset}"


def is_drawn(job_id: str) -> bool:
    """Whether the id was drawn for one job alone, so that no other enqueue makes it again."""
    try:
        return uuid.UUID(job_id).version == DRAWN_VERSION
    except ValueError:
        return False


def check_key(option: str, key: object) -> str:
    """`key` if it may name something at an enqueue, as an order key; raises InvalidOption."""
    if not isinstance(key, str) or not 1 <= utf8_bytes(key) <= KEY_BYTES_MAX:
        message = (
            f"{option}={shown(key)} is refused: give a text of 1 to {KEY_BYTES_MAX} bytes in UTF-8"
        )
        raise InvalidOption(message)
    return key


def utf8_bytes(text: str) -> int:
    """Its length in UTF-8; 0 if it has none (half of a surrogate pair stands alone)."""
    try:
        return len(text.encode())
    except UnicodeEncodeError:
        return 0
