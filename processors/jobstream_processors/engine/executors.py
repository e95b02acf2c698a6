"""The executors of one process, taken together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobstream_processors.delivery import HANDED, TAKEN
from jobstream_processors.job_types import PROCESS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from jobstream_processors.assignment.lane import Lane
    from jobstream_processors.delivery import Delivery
    from jobstream_processors.execute.running import Executor


class Executors:
    """Hands deliveries to the executor of their type, and asks all of them."""

    def __init__(self, executors: Mapping[str, Executor]) -> None:
        self._executors = executors
        self._submit = {name: each.submit for name, each in executors.items()}

    @property
    def idle(self) -> bool:
        """Whether nothing runs or waits for a slot."""
        return not any(e.busy for e in self._executors.values())

    @property
    def stuck(self) -> int:
        """Runs past their time limit that still hold a slot."""
        return sum(e.stuck for e in self._executors.values())

    @property
    def stepping(self) -> Delivery | None:
        """The one whose handler has the event loop. Safe from any thread."""
        return next((e.stepping for e in self._executors.values() if e.stepping), None)

    def running(self) -> list[tuple[Delivery, float]]:
        """Deliveries that hold a slot, and when their handlers began. Safe from any thread."""
        return [run for executor in self._executors.values() for run in executor.running()]

    def taken(self, most: int) -> int:
        """Deliveries that hold one of `most` slots or wait for one."""
        busy = sum(e.busy for name, e in self._executors.items() if name != PROCESS)
        # Suspects wait for children, however many: they must not hold up the others.
        children = self._executors[PROCESS].busy if PROCESS in self._executors else 0
        return busy + min(children, max(0, most - busy))

    def begin(self, deliveries: Iterable[Delivery]) -> None:
        """Run them when slots are free."""
        submit = self._submit
        for delivery in deliveries:
            delivery.stage = HANDED
            spec = delivery.spec
            assert spec is not None  # noqa: S101 - admitted deliveries have a handler
            submit[PROCESS if delivery.in_child else spec.executor](delivery)

    def stop(self, delivery: Delivery) -> None:
        """Stop its run where that is possible; its outcome is reported as usual."""
        spec = delivery.spec
        assert spec is not None  # noqa: S101 - admitted deliveries have a handler
        self._executors[PROCESS if delivery.in_child else spec.executor].stop(delivery)

    def withdraw(self, lane: Lane) -> list[Delivery]:
        """Take back what of `lane` waits for a slot."""
        taken = [d for executor in self._executors.values() for d in executor.withdraw(lane)]
        for delivery in taken:
            delivery.stage = TAKEN
        return taken

    def interrupt(self, lane: Lane) -> None:
        """Stop what runs of `lane`: a coroutine, a child process; a thread goes on."""
        for executor in self._executors.values():
            executor.interrupt(lane)

    def expire(self) -> None:
        """End runs whose time limit has passed."""
        for executor in self._executors.values():
            executor.expire()

    def close(self) -> None:
        """Release the executors; every lane has ended."""
        for executor in self._executors.values():
            executor.close()
