"""What the rare turns of a job's way need of the way itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from jobstream_processors.assignment.lane import Lane
    from jobstream_processors.core.decide import Decision
    from jobstream_processors.delivery import Delivery
    from jobstream_processors.engine.admission import Admission
    from jobstream_processors.engine.waiting import WaitingRoom
    from jobstream_processors.execute.running import Executes
    from jobstream_processors.ports import Clock


class Onward(Protocol):
    """The steps that a delivery may take from a turn."""

    executors: Mapping[str, Executes]

    @property
    def rooms(self) -> Mapping[Lane, WaitingRoom]:
        """Where deliveries wait, by lane."""

    @property
    def admission(self) -> Admission:
        """What asks the gates."""

    @property
    def clock(self) -> Clock:
        """The time of this machine, and of the brokers."""

    def start(self, delivery: Delivery) -> None:
        """Begin a run, or let it wait."""

    def execute(self, room: WaitingRoom, deliveries: Sequence[Delivery]) -> None:
        """Step 9."""

    def settle(self, delivery: Delivery, decision: Decision) -> None:
        """Step 11."""

    def free_key(self, delivery: Delivery) -> None:
        """Let the next delivery of its order key go on."""

    def release(self, delivery: Delivery) -> None:
        """It is in flight no more, unfinished."""
