"""Calls of a store from an event loop, in the way that the store has: at once, awaited, aside.

A call that waits goes on where its request is cancelled or gives it up: a statement that is under
way can't be called back, so what it did must be dealt with.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from jobstream.idempotency.errors import StoreAway
from jobstream.idempotency.key_states import Mine
from jobstream.idempotency.store_threads import StoreThreads

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from typing import TypeVar

    from jobstream.idempotency.key_states import Begun, KeySlot, Unkept
    from jobstream.idempotency.keyed_requests import KeyedRequests
    from jobstream.idempotency.stored_answer import StoredAnswer

    T = TypeVar("T")


class LoopCalls:
    """The calls of one middleware. A store that can be awaited says so by `awaits`."""

    def __init__(self, requests: KeyedRequests) -> None:
        self._requests = requests
        self._store: Any = requests.store  # The coroutines of a store are no part of the port.
        self._terms = requests.rules.terms
        self._limit_s = requests.rules.store_limit_s
        self._awaits = bool(getattr(requests.store, "awaits", False))
        self._threads = StoreThreads()
        self._tasks: set[asyncio.Task[Any]] = set()
        """Those under way: a loop itself does not keep its tasks."""

    async def begin(self, slot: KeySlot, digest: str) -> Begun:
        """As `KeyedRequests.begin`; raises StoreAway after the limit, too."""
        requests, store, terms = self._requests, self._store, self._terms
        asked: asyncio.Future[Begun]
        if self._awaits:
            asked = self._task(store.abegin(slot, digest, terms))
        elif store.blocks:
            asked = self._threads.call(lambda: store.begin(slot, digest, terms))
        else:
            return requests.begin(slot, digest)
        return requests.begun(await self._limited(asked, self._give_back))

    async def keep(self, mine: Mine, answer: StoredAnswer | Unkept) -> str:
        """As `KeyedRequests.keep`."""
        requests = self._requests
        if self._awaits:
            storing: asyncio.Future[str] = self._task(self._stored(mine, answer))
        elif self._store.blocks:
            storing = self._threads.call(lambda: requests.keep(mine, answer))
        else:
            return requests.keep(mine, answer)
        try:
            return await self._limited(storing)
        except StoreAway as error:
            requests.store_down(error, "keep")
            return "store-down"

    async def release(self, mine: Mine) -> None:
        """As `KeyedRequests.release`."""
        if not self._store.blocks:
            self._requests.release(mine)
            return
        try:
            await self._limited(self._threads.call(lambda: self._requests.release(mine)))
        except StoreAway as error:
            self._requests.store_down(error, "release")

    def release_unwaited(self, mine: Mine) -> None:
        """The same, for a task that may not wait any more."""
        if self._store.blocks:
            self._threads.submit(lambda: self._requests.release(mine))
        else:
            self._requests.release(mine)

    def close(self) -> None:
        """End its threads once they are idle."""
        self._threads.close()

    async def _stored(self, mine: Mine, answer: StoredAnswer | Unkept) -> str:
        requests = self._requests
        # First, so that however this ends the key is not renewed for good.
        requests.drop(mine)
        try:
            kept = await self._store.akeep(mine, answer, self._terms)
        except StoreAway as error:
            return requests.owe(mine, answer, error)
        except asyncio.CancelledError as error:
            # The loop ends; the process need not.
            requests.owe(mine, answer, error)
            raise
        return requests.kept(mine, answer, kept=kept)

    def _task(self, call: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        task = asyncio.create_task(call)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _give_back(self, begun: Begun) -> None:
        """Release a key that was taken for a request that is gone."""
        if isinstance(begun, Mine):
            self.release_unwaited(begun)

    async def _limited(
        self, call: asyncio.Future[T], late: Callable[[T], object] | None = None
    ) -> T:
        """What the call returns; raises StoreAway after the limit.

        What one returns that nobody waits for any more is given to `late`.
        """

        def hand(ended: asyncio.Future[T]) -> None:
            # Its error is looked at, too, so that it is no news to the loop.
            if not ended.cancelled() and ended.exception() is None and late is not None:
                late(ended.result())

        try:
            done, _ = await asyncio.wait({call}, timeout=self._limit_s)
        except asyncio.CancelledError:
            call.add_done_callback(hand)
            raise
        if not done:
            call.add_done_callback(hand)
            message = f"the store did not answer within {self._limit_s:g} s"
            raise StoreAway(message)
        return call.result()
