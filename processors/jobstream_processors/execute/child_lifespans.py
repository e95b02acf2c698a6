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

    from jobstream_processors.resources import Lifespan, Resources

LEAVE_S = 5.0
"""How long a child that is let go may take to leave its lifespans. The worker gives it no more."""


class ChildLifespans:
    """Entered once, before the first job that wants them; left when the worker lets the child go.

    Used on the main thread of the child. A child that is killed leaves nothing.
    """

    def __init__(self) -> None:
        self._runner: asyncio.Runner | None = None
        self._lifetime: Lifetime | None = None
        self._begun: dict[tuple[str, str], Resources] = {}

    def begun(self, app_at: tuple[str, str], lifespans: Iterable[Lifespan]) -> Resources:
        """Those of that app, entered if they are not yet; blocks. Raises LifespanFailed."""
        if app_at not in self._begun:
            runner = self._runner = self._runner or asyncio.Runner()
            lifetime = runner.run(_made(lifespans))
            self._begun[app_at] = runner.run(lifetime.begin())
            self._lifetime = lifetime
        return self._begun[app_at]

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:  # noqa: ANN401 - what it returns
        """Run a handler to its end, on the loop of the lifespans; what it leaks is cancelled."""
        runner = self._runner
        assert runner is not None, "lifespans were entered"  # noqa: S101
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
        if self._runner is not None and self._lifetime is not None:
            self._runner.run(self._lifetime.end(LEAVE_S))
            self._runner.close()


async def _made(lifespans: Iterable[Lifespan]) -> Lifetime:
    return Lifetime(lifespans)


async def _cancelled(tasks: set[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
