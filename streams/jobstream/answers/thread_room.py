"""Room for calls that block, each on a thread of its own, asked for by an event loop."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar

from jobstream.answers.errors import TooBusy
from jobstream_processors.background import aside

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


class ThreadRoom:
    """At most so many calls at once, on threads of one name. Used on one event loop."""

    def __init__(self, thread: str, most: int, wait_s: float) -> None:
        self._thread, self._most, self._wait_s = thread, most, wait_s
        self._room = asyncio.Semaphore(most)

    async def ask(self, function: Callable[..., T], *given: Any) -> T:  # noqa: ANN401 - what it takes
        """Call what blocks; raises TooBusy where too many calls go on already."""
        try:
            await asyncio.wait_for(self._room.acquire(), self._wait_s)
        except TimeoutError as error:
            message = f"{self._most} questions are under way: ask again in a moment"
            raise TooBusy(message) from error
        # Who gives up waiting leaves the thread to itself, and its place is taken until it ends.
        asked = asyncio.ensure_future(aside(self._thread, function, *given))
        asked.add_done_callback(lambda _: self._room.release())
        return await asyncio.shield(asked)
