"""A worker in memory: its handlers run in this process, in real time.

The worker's clock is moved by the test, a handler's time is real, and so are its limits. Nothing is
decided here.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING

from jobstream.kafka.client.broker_clock import MACHINE
from jobstream_processors.execute.running import Executor

if TYPE_CHECKING:
    from jobstream_processors.assembly import Neighbours, Parts
    from jobstream_processors.assignment.lane import Lane
    from jobstream_processors.delivery import Delivery
    from jobstream_processors.execute.running import Barred, Ended, Executes
    from jobstream_processors.ports import Clock


class HandlersOwnTime:
    """The `Clock` port: passed and broker time as the test moves them, awake time as it is."""

    def __init__(self, clock: Clock) -> None:
        self.awake_s = MACHINE.awake_s
        self.wall_ms = MACHINE.wall_ms
        self.monotonic_ms = clock.monotonic_ms
        self.broker_ms = clock.broker_ms
        self.needs_report = clock.needs_report


class NoChildren(Executor):
    """Stands where child processes would be, and gives each delivery to one of its neighbours.

    A handler defined inside a test can't be imported by a child. So a job that kills its process
    kills the test: poison is tested on a real worker.
    """

    def __init__(self, _parts: Parts, _ended: Ended, _barred: Barred, given: Neighbours) -> None:
        super().__init__()
        self._on_loop, self._in_threads = given

    def submit(self, delivery: Delivery) -> None:
        """Run it on the loop or in a thread, as its handler is written."""
        self._executor_of(delivery).submit(delivery)

    def expire(self) -> None:
        """The neighbours do that."""

    def interrupt(self, lane: Lane) -> None:
        """The neighbours do that."""

    def stop(self, delivery: Delivery) -> None:
        """Stop it where it runs."""
        self._executor_of(delivery).stop(delivery)

    def close(self) -> None:
        """The neighbours do that."""

    def _executor_of(self, delivery: Delivery) -> Executes:
        spec = delivery.spec
        assert spec is not None  # noqa: S101 - admitted deliveries have a handler
        is_async = inspect.iscoroutinefunction(spec.function)
        return self._on_loop if is_async else self._in_threads
