"""What a record says of the unique key that its job wants."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobstream_processors.core.unique_mode import Mode, read
from jobstream_processors.core.unique_part import UniquePart

if TYPE_CHECKING:
    from jobstream_processors.delivery import Delivery
    from jobstream_processors.ports import Record

ANY_CLIENT = Mode()
"""How a key is wanted of which its client did not say that."""


def part_of(delivery: Delivery, record: Record, text: str) -> UniquePart | None:
    """How the delivery stands to the key in `text`; None where the key needs no gate.

    A queue that was made anew counts its offsets anew, and so keys of it are others.
    """
    mode, key = read(text, ANY_CLIENT)
    if mode is None:
        return None
    carried, lane = delivery.carried, delivery.lane
    appended_ms = record.timestamp()[1]
    if carried.enqueued_ms is not None:
        # A header may come from anybody: no job was appended after its copy.
        appended_ms = min(appended_ms, carried.enqueued_ms)
    place = delivery.offset
    if carried.place is not None:
        # A header may come from anybody, and no copy stands before its original, but where the
        # queue was made anew since: above all that come, it would have the key without an end.
        place = min(carried.place, place)
    # Rows live for the window.
    life_ms = min(mode.expires_ms, lane.window_ms)
    return UniquePart(f"{lane.topic_id}:{key}", mode, place, appended_ms, life_ms)
