"""How the thread that polls reaches the engine, which lives on another thread."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jobstream_processors.assignment.lane import Arrival, Lane
    from jobstream_processors.ports import Record


class Remains(NamedTuple):
    """What is not through: handlers that run, and ends that are not acknowledged."""

    running: int
    unsettled: int


class Driver(Protocol):
    """The worker, as its feed sees it."""

    def hand(self, batch: list[tuple[Lane, list[Record]]]) -> None:
        """Give records to the engine; returns at once."""

    def prepare(self, arrival: Arrival) -> None:
        """Restore it; `Feed.prepared` is to be called when that is done."""

    def begin(self, lane: Lane) -> None:
        """Tell the engine that the lane runs."""

    def is_leaving(self) -> bool:
        """Whether the process is to leave."""

    def wait(self, timeout_s: float) -> None:
        """Block until the engine finished something, or the time is over."""

    def drain(self, lanes: Sequence[Lane]) -> None:
        """Start nothing more of the lanes; what runs goes on, and settles."""

    def remains(self, lanes: Sequence[Lane]) -> Remains:
        """What of draining lanes is not through yet."""

    def cut(self, lanes: Sequence[Lane]) -> None:
        """Stop what runs of the lanes, where that is possible."""

    def hand_over(self, lanes: Sequence[Lane]) -> None:
        """End the lanes and mirror how far they came; `lane.left` has what was not through."""

    def end(self, lanes: Sequence[Lane]) -> None:
        """End the lanes at once."""
