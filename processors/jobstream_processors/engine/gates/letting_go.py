"""A job that needs its unique key only until it starts gives it up, acknowledged, and then starts.

This gate stands behind all others: a job that one of them keeps has not started, and keeps the key.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobstream_processors.core.decide import LET_GO
from jobstream_processors.engine.gates.gate import Gate

if TYPE_CHECKING:
    from jobstream_processors.core.decide import Decision
    from jobstream_processors.core.verdict import NotBefore
    from jobstream_processors.delivery import Delivery
    from jobstream_processors.engine.waiting import WaitingRoom


class LettingGo(Gate):
    """Has keys given up in time."""

    has_rules = True

    def asks(
        self,
        room: WaitingRoom,  # noqa: ARG002 - the shape of it
        delivery: Delivery,
        now_ms: int,  # noqa: ARG002 - as above
    ) -> NotBefore | Decision | None:
        """Let it begin if it needs no key any more."""
        stand = delivery.unique
        if stand is None or not stand.mode.until_start or stand.freed or not stand.holds:
            return None
        return LET_GO
