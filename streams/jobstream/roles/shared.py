"""What the handlers of a worker process share, from before it joins its group to after it left."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobstream.roles.run_loop import unless
from jobstream_processors.lifespan import Lifetime

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from jobstream.roles.ground import Ground
    from jobstream_processors.errors import LifespanFailed
    from jobstream_processors.resources import Resources


class Shared:
    """An asynchronous context, in which `resources` are there unless the process was to leave."""

    def __init__(self, ground: Ground, stop: Callable[[], object]) -> None:
        """`stop` is called on the loop if a lifespan ends while jobs run."""
        self._ground = ground
        self._stop = stop
        self._lifetime = Lifetime(ground.app.lifespans, self._broken)
        self._error: LifespanFailed | None = None
        self.resources: Resources | None = None
        """None where the process was asked to leave before they were there."""

    async def __aenter__(self) -> None:
        """Enter the lifespans. Raises LifespanFailed."""
        self.resources = await unless(self._ground.stopping.is_set, self._lifetime.begin())

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Leave them, within what is left of the drain."""
        await self._lifetime.end(self._ground.left_s())

    def check(self) -> None:
        """Raise LifespanFailed if one ended while jobs ran."""
        if self._error is not None:
            raise self._error

    def _broken(self, error: LifespanFailed) -> None:
        self._error = error
        self._stop()
