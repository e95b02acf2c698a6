"""Calls a store that blocks from an event loop, on a few threads that stay."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

from jobstream.idempotency.errors import StoreAway
from jobstream_processors.forked import tell_in_child

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future

T = TypeVar("T")
THREADS = 8


class StoreThreads:
    """Not the loop's own pool, which handlers may fill. Made anew in a forked child."""

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        self._pool: ThreadPoolExecutor | None = None
        tell_in_child(self)

    def forked(self) -> None:
        """In a forked child the parent's threads are not there."""
        self._pool = None

    async def call(self, function: Callable[[], T], late: Callable[[T], object] | None = None) -> T:
        """What `function()` returns; raises StoreAway after the limit.

        A call that nobody waits for any more is not stopped: what it returns is given to `late`.
        """
        future = self.submit(function)
        ended = asyncio.wrap_future(future)
        try:
            async with asyncio.timeout(self._limit_s):
                return await asyncio.shield(ended)
        except TimeoutError as error:
            _hand_to(late, future)
            ended.add_done_callback(_looked_at)
            message = f"the store did not answer within {self._limit_s:g} s"
            raise StoreAway(message) from error
        except asyncio.CancelledError:
            _hand_to(late, future)
            ended.add_done_callback(_looked_at)
            raise

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


def _hand_to(late: Callable[[T], object] | None, future: Future[T]) -> None:
    def hand(ended: Future[T]) -> None:
        if late is not None and not ended.cancelled() and ended.exception() is None:
            late(ended.result())

    future.add_done_callback(hand)


def _looked_at(ended: asyncio.Future[T]) -> None:
    """Nobody waits for it any more, so its error is no news to the loop."""
    if not ended.cancelled():
        ended.exception()
