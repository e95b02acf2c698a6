"""The engine's view of the part that reports ends other than a plain success."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from jobstream_processors.core.decide import Decision
    from jobstream_processors.core.outcome import Done, Outcome
    from jobstream_processors.delivery import Delivery


class Witness(Protocol):
    """Called on the event loop's thread; it returns at once and decides nothing."""

    def ran(self, delivery: Delivery, outcome: Outcome, decision: Decision) -> None:
        """A run ended otherwise than done."""

    def unrun(self, delivery: Delivery, decision: Decision) -> None:
        """It was decided without a run."""

    def done(self, delivery: Delivery, outcome: Done) -> None:
        """A run is done, and returned a value, or followed deaths."""

    def tick(self, now_ms: int | None = None) -> None:
        """Several times a second; None: for the last time."""
