"""Enters and leaves what handlers share: the lifespans of an app, once in each process.

One task enters them, waits, and leaves them in the opposite order, so that each may hold what
belongs to a task, such as a task group. A process that runs handlers has one `Lifetime`: a worker,
each child process of it, a worker in memory.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import TYPE_CHECKING, Any

from jobstream_processors.background import aside
from jobstream_processors.errors import InvalidOption, LifespanFailed
from jobstream_processors.execute.user_errors import told
from jobstream_processors.resources import Resources

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import TracebackType

    from jobstream_processors.resources import Lifespan

log = logging.getLogger("jobstream.worker")

START_S_MAX = 60.0
"""How long all lifespans of a process may take to start."""
CANCELLED_S = 1.0
"""How long one that was cancelled may clean up."""


class Lifetime:
    """The lifespans of one process. Used on one event loop: begun once, ended once."""

    def __init__(
        self,
        lifespans: Iterable[Lifespan],
        broken: Callable[[LifespanFailed], object] = lambda _: None,
    ) -> None:
        """`broken` is called on the loop if a lifespan ends before it was asked to."""
        self._lifespans = tuple(lifespans)
        self._broken = broken
        self._leave = asyncio.Event()
        self._starting = ""
        self._ready: asyncio.Future[Resources] | None = None
        self._task: asyncio.Task[None] | None = None

    async def begin(self, limit_s: float = START_S_MAX) -> Resources:
        """Enter all, in order; what they yield. Raises LifespanFailed, with those entered left.

        A plain context manager is entered on a thread, so it may block. Where this is cancelled,
        so is the start.
        """
        if not self._lifespans:
            return Resources()
        self._ready = asyncio.get_running_loop().create_future()
        self._task = task = asyncio.create_task(self._live(self._ready))
        task.add_done_callback(self._over)
        try:
            ends: list[asyncio.Future[Any]] = [task, self._ready]
            await asyncio.wait(ends, timeout=limit_s, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            task.cancel()
            raise
        if self._ready.done():
            return self._ready.result()
        if not task.done():
            task.cancel()
            await asyncio.wait([task], timeout=CANCELLED_S)
            message = f"lifespan {self._starting!r} did not start within {limit_s:g} s"
            raise LifespanFailed(message)
        self._leave.set()
        error = None if task.cancelled() else task.exception()
        if isinstance(error, LifespanFailed):
            raise error
        how = "was cancelled by its own code" if error is None else f"raised {error!r}"
        message = f"lifespan {self._starting!r} {how}"
        raise LifespanFailed(message) from error

    async def end(self, limit_s: float) -> None:
        """Leave all, the last one first, in `limit_s` together; the log tells what went wrong."""
        self._leave.set()
        task = self._task
        if task is None:
            return
        await asyncio.wait([task], timeout=limit_s)
        if not task.done():
            task.cancel()
            await asyncio.wait([task], timeout=CANCELLED_S)

    async def _live(self, ready: asyncio.Future[Resources]) -> None:
        async with AsyncExitStack() as stack:
            try:
                resources = await self._entered(stack)
            except LifespanFailed as error:
                failed = error  # Raised below: those before it end as they always do.
            else:
                ready.set_result(resources)
                await self._leave.wait()
                return
        raise failed

    async def _entered(self, stack: AsyncExitStack) -> Resources:
        values: list[object] = []
        for lifespan in self._lifespans:
            self._starting = lifespan.name
            try:
                values.append(await stack.enter_async_context(_Opened(lifespan)))
            except Exception as error:
                message = (
                    f"lifespan {lifespan.name!r} failed: {type(error).__name__}: {told(error)}"
                )
                raise LifespanFailed(message) from error
        try:
            return Resources(values)
        except InvalidOption as error:
            raise LifespanFailed(str(error)) from error

    def _over(self, task: asyncio.Task[None]) -> None:
        began = self._ready is not None and self._ready.done()
        if self._leave.is_set() or not began:
            return
        error = None if task.cancelled() else task.exception()
        why = "it was cancelled, as a task group does when a task of it fails"
        message = f"a lifespan ended while jobs ran: {told(error) if error is not None else why}"
        self._broken(LifespanFailed(message))


class _Opened(AbstractAsyncContextManager[object]):
    """One lifespan. An error of its end is told in the log, and keeps no other from its own."""

    def __init__(self, lifespan: Lifespan) -> None:
        self._lifespan = lifespan
        self._managed: Any = None

    async def __aenter__(self) -> object:
        managed = self._managed = self._lifespan.open()
        if hasattr(managed, "__aenter__"):
            return await managed.__aenter__()
        if hasattr(managed, "__enter__"):
            return await aside("jobstream-lifespan", managed.__enter__)
        message = f"it returns {type(managed).__name__}, no context manager: it needs one yield"
        raise TypeError(message)

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        managed = self._managed
        try:
            if hasattr(managed, "__aexit__"):
                return bool(await managed.__aexit__(kind, error, traceback))
            leave = managed.__exit__
            return bool(await aside("jobstream-lifespan", leave, kind, error, traceback))
        except asyncio.CancelledError:
            if kind is not None:
                raise
            # Its time is over. Those that are left may still end.
            log.warning("lifespan_left_behind", extra={"lifespan": self._lifespan.name})
            return False
        except Exception:
            log.exception("lifespan_failed", extra={"lifespan": self._lifespan.name})
            return False
