"""Calls of a store from an event loop, in the way that the store has: at once, awaited, aside."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from jobstream.idempotency.errors import StoreAway
from jobstream.idempotency.store_threads import StoreThreads

if TYPE_CHECKING:
    from collections.abc import Awaitable
    from typing import TypeVar

    from jobstream.idempotency.key_states import Begun, KeySlot, Mine, Unkept
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
        self._threads = StoreThreads(self._limit_s)

    async def begin(self, slot: KeySlot, digest: str) -> Begun:
        """As `KeyedRequests.begin`; raises StoreAway after the limit, too."""
        requests = self._requests
        if self._awaits:
            return requests.begun(
                await self._limited(self._store.abegin(slot, digest, self._terms))
            )
        if not self._store.blocks:
            return requests.begin(slot, digest)
        return await self._threads.call(lambda: requests.begin(slot, digest), requests.give_back)

    async def keep(self, mine: Mine, answer: StoredAnswer | Unkept) -> str:
        """As `KeyedRequests.keep`."""
        requests = self._requests
        if not self._awaits:
            if not self._store.blocks:
                return requests.keep(mine, answer)
            try:
                return await self._threads.call(lambda: requests.keep(mine, answer))
            except StoreAway as error:  # The call goes on without us.
                requests.store_down(error, "keep")
                return "store-down"
        try:
            kept = await self._limited(self._store.akeep(mine, answer, self._terms))
        except StoreAway as error:
            return requests.owe(mine, answer, error)
        return requests.kept(mine, answer, kept=kept)

    async def release(self, mine: Mine) -> None:
        """As `KeyedRequests.release`."""
        if not self._store.blocks:
            self._requests.release(mine)
            return
        try:
            await self._threads.call(lambda: self._requests.release(mine))
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

    async def _limited(self, call: Awaitable[T]) -> T:
        try:
            async with asyncio.timeout(self._limit_s):
                return await call
        except TimeoutError as error:
            message = f"the store did not answer within {self._limit_s:g} s"
            raise StoreAway(message) from error
