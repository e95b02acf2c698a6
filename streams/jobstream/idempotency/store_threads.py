"""Calls a store that blocks from an event loop, on a few threads that stay."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

from jobstream_processors.forked import tell_in_child

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future

T = TypeVar("T")
THREADS = 8


class StoreThreads:
    """Not the loop's own pool, which handlers may fill. Made anew in a forked child."""

    def __init__(self) -> None:
        self._pool: ThreadPoolExecutor | None = None
        tell_in_child(self)

    def forked(self) -> None:
        """In a forked child the parent's threads are not there."""
        self._pool = None

    def call(self, function: Callable[[], T]) -> asyncio.Future[T]:
        """Call it on a thread; what the running loop awaits for its result."""
        return asyncio.wrap_future(self.submit(function))

    def submit(self, function: Callable[[], T]) -> Future[T]:
        """Call it on a thread, and wait for nothing."""
        if self._pool is None:
            self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="jobstream-keys-store")
        return self._pool.submit(function)

    def close(self) -> None:
        """End the threads once they are idle."""
        if self._pool is not None:
            self._pool.shutdown(wait=False)
            self._pool = None
