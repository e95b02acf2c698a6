"""Jobs that operators cancelled end without a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobstream_processors.core.decide import End
from jobstream_processors.core.known import CANCELLED
from jobstream_processors.core.orders import NOTHING
from jobstream_processors.engine.gates.gate import Gate

if TYPE_CHECKING:
    from collections.abc import Collection

    from jobstream_processors.core.orders import Orders
    from jobstream_processors.delivery import Delivery


class Cancels(Gate):
    """Says of a delivery that its job is cancelled, by whom and why."""

    def __init__(self) -> None:
        self._orders = NOTHING.cancels

    def obey(self, orders: Orders) -> Collection[str]:
        """The ids that are new among the cancelled ones."""
        before, self._orders = self._orders, orders.cancels
        self.ends_some = bool(orders.cancels)
        return [job_id for job_id in orders.cancels if job_id not in before]

    def ends(self, delivery: Delivery) -> End | None:
        """Cancelled, if its id is among those."""
        entry = self._orders.get(delivery.id)
        return End(CANCELLED, entry.told) if entry is not None else None
