"""The lifespans of an app in a child process, and the event loop that its handlers share with them.

Where the app has no lifespans there is neither: each coroutine of a job gets a loop of its own.
"""

from __future__ import annotations

import asyncio
import contextvars
from typing import TYPE_CHECKING, Any

from jobstream_processors.lifespan import Lifetime

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterable

    from jobstream_processors.errors import LifespanFailed
    from jobstream_processors.resources import Lifespan

START_S_MAX = 45.0
"""How long all lifespans of a child may take to start.

Less than the worker gives the child to get ready, which is a minute with its imports: so the child
says which lifespan it was."""
LEAVE_S = 5.0
"""How long a child that is let go may take to leave its lifespans."""


class ChildLifespans:
    """Entered when they are made; left when the worker lets the child go, or they have ended.

    Used on the main thread of the child. A child that is killed leaves nothing.
    """

    def __init__(self, lifespans: Iterable[Lifespan]) -> None:
        """Blocks for START_S_MAX at most, and a moment. Raises LifespanFailed."""
        self._runner = asyncio.Runner()
        self._lifetime = Lifetime(lifespans, self._broken)
        self.ended: LifespanFailed | None = None
        """Why they ended too early. Seen while a coroutine runs, as the loop stands otherwise."""
        self.resources = self._runner.run(self._lifetime.begin(START_S_MAX))

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:  # noqa: ANN401 - what it returns
        """Run a handler to its end, on the loop of the lifespans; what it leaks is cancelled."""
        runner = self._runner
        context = contextvars.copy_context()
        mine = asyncio.all_tasks(runner.get_loop())
        try:
            return runner.run(work, context=context)
        finally:
            leaked = asyncio.all_tasks(runner.get_loop()) - mine
            if leaked:
                runner.run(_cancelled(leaked), context=context)

    def leave(self) -> None:
        """Leave them; blocks for LEAVE_S at most, and a moment."""
        self._runner.run(self._lifetime.end(LEAVE_S))
        self._runner.close()

    def _broken(self, error: LifespanFailed) -> None:
        self.ended = error


async def _cancelled(tasks: set[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
