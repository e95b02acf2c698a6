"""The deliveries that a gate wants to be asked about again: each is handed out once, in order."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from jobstream_processors.assignment.lane import Lane
    from jobstream_processors.delivery import Delivery


class Freed:
    """Those that wait no more for what a gate keeps. Used on the event loop's thread."""

    __slots__ = ("_found",)

    def __init__(self) -> None:
        self._found: list[Delivery] = []

    def add(self, deliveries: Iterable[Delivery]) -> None:
        """These may begin now, as far as the gate knows."""
        self._found += deliveries

    def forget(self, lane: Lane) -> None:
        """The lane has ended: nothing of it is to be asked about."""
        self._found = [delivery for delivery in self._found if delivery.lane is not lane]

    def take(self) -> Sequence[Delivery]:
        """Hand out all; for the hot path: most of the time there are none."""
        if not self._found:
            return ()
        found, self._found = self._found, []
        return found
