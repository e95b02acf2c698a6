"""Queues and job types that operators paused."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobstream_processors.core.orders import NOTHING
from jobstream_processors.engine.gates.gate import Gate

if TYPE_CHECKING:
    from collections.abc import Collection

    from jobstream_processors.core.orders import Orders
    from jobstream_processors.delivery import Delivery
    from jobstream_processors.engine.waiting import Reason, WaitingRoom

PAUSED = "paused"
"""Its queue is paused."""
TYPE_PAUSED = "type_paused"
"""Its job type is paused."""


class Pauses(Gate):
    """Shuts the lanes of a paused queue, and keeps the deliveries of a paused type."""

    def __init__(self) -> None:
        self._orders = NOTHING

    def obey(self, orders: Orders) -> Collection[str]:
        """Pauses are these from now on."""
        self._orders = orders
        self.keeps_some = bool(orders.types)
        return ()

    def shuts(self, room: WaitingRoom) -> Reason | None:
        """Paused, if its queue is."""
        return PAUSED if room.lane.queue in self._orders.queues else None

    def keeps(self, delivery: Delivery, now_ms: int) -> Reason | None:  # noqa: ARG002 - no matter when
        """Paused, if its type is, under its own name or one it had before."""
        types, spec, reader = self._orders.types, delivery.spec, delivery.reader
        if (spec is not None and spec.name in types) or (
            reader is not None and reader.job_type in types
        ):
            return TYPE_PAUSED
        return None
