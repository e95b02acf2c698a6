"""Executors for a worker in memory: handlers run in this process, limited by real time.

The worker's clock is moved by the test, a handler's time is real, so limits are judged by the
machine's clock. Nothing is decided here.
"""

from __future__ import annotations

import inspect
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jobstream_processors.delivery import Delivery
    from jobstream_processors.execute.running import Executor
    from jobstream_processors.lane import Lane


class RealTimeLimits:
    """An executor whose time limits follow the machine's clock, whatever the worker's says."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor
        self.submit = executor.submit
        self.running = executor.running
        self.withdraw = executor.withdraw
        self.interrupt = executor.interrupt
        self.stop = executor.stop
        self.close = executor.close

    def expire(self, now_ms: int) -> None:  # noqa: ARG002 - virtual time
        """End runs whose time limit has passed by the machine's clock."""
        self._executor.expire(time.monotonic_ns() // 1_000_000)

    @property
    def busy(self) -> int:
        """Deliveries that wait for a slot or run."""
        return self._executor.busy

    @property
    def stuck(self) -> int:
        """Runs that outlived their time limit and still hold a slot."""
        return self._executor.stuck


class NoChildren:
    """Stands where child processes would be, and gives each delivery to one of its neighbours.

    A handler defined inside a test can't be imported by a child. So a job that kills its process
    kills the test: poison is tested on a real worker.
    """

    busy = 0
    stuck = 0

    def __init__(self, on_loop: Executor, in_threads: Executor) -> None:
        self._on_loop = on_loop
        self._in_threads = in_threads

    def submit(self, delivery: Delivery) -> None:
        """Run it on the loop or in a thread, as its handler is written."""
        self._executor_of(delivery).submit(delivery)

    def expire(self, now_ms: int) -> None:
        """The neighbours do that."""

    def running(self) -> list[tuple[Delivery, float]]:
        """The neighbours know."""
        return []

    def withdraw(self, lane: Lane) -> list[Delivery]:  # noqa: ARG002 - the neighbours hold them
        """Nothing waits here."""
        return []

    def interrupt(self, lane: Lane) -> None:
        """The neighbours do that."""

    def stop(self, delivery: Delivery) -> None:
        """Stop it where it runs."""
        self._executor_of(delivery).stop(delivery)

    def close(self) -> None:
        """The neighbours do that."""

    def _executor_of(self, delivery: Delivery) -> Executor:
        spec = delivery.spec
        assert spec is not None  # noqa: S101 - admitted deliveries have a handler
        is_async = inspect.iscoroutinefunction(spec.function)
        return self._on_loop if is_async else self._in_threads
