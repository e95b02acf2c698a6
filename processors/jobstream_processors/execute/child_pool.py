"""What a pool of child processes hears from each of them, and lends it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable

    from jobstream_processors.core.outcome import Outcome
    from jobstream_processors.delivery import Delivery
    from jobstream_processors.execute.running import Barred, EnterChild
    from jobstream_processors.ports import Machine

Child_contra = TypeVar("Child_contra", contravariant=True)


class ChildPool(Protocol[Child_contra]):
    """What a child tells, and asks. It may be told things while it calls the child."""

    machine: Machine
    barred: Barred
    enter: EnterChild

    def ended(self, delivery: Delivery, outcome: Outcome, at_s: float) -> None:
        """It ended, or will not begin, by this outcome."""

    def returns(self, deliveries: Iterable[Delivery]) -> None:
        """These have not begun, and will not begin there."""

    def free(self, child: Child_contra) -> None:
        """It has nothing to do."""

    def gone(self, child: Child_contra) -> None:
        """It is no more."""
