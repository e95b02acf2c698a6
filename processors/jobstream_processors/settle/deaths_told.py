"""Tells of each dead letter once it is acknowledged, with its row. Nothing waits for that."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from jobstream_processors.core.decide import DeadLetter

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jobstream_processors.assignment.lane import Lane
    from jobstream_processors.delivery import Decided, Delivery
    from jobstream_processors.settle.thread import Settles

Died = Callable[["Delivery", DeadLetter], object]
"""Called for each job that died for good, on the thread that settles; must return at once."""


class TellingSettler:
    """Settles as the one it was given does, and tells of deaths."""

    def __init__(self, settler: Settles, died: Died) -> None:
        self._settler = settler
        self._died = died

    @property
    def waits(self) -> bool:
        """Whether some of what it was given waits for acknowledgements."""
        return self._settler.waits

    def is_adrift(self, lane: Lane) -> bool:
        """Whether brokers may still append what `lane`, which has ended, sent."""
        return self._settler.is_adrift(lane)

    def settle(self, batch: Sequence[Decided]) -> tuple[list[Decided], list[Decided]]:
        """(settled, to be tried again)."""
        settled, again = self._settler.settle(batch)
        for delivery, decision in settled:
            if type(decision) is DeadLetter:
                self._died(delivery, decision)
        return settled, again
