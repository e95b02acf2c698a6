"""What handlers of a worker in memory share: what lifespans yield, or what a test gives instead."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jobstream_processors.lifespan import Lifetime
from jobstream_processors.resources import Resources

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Coroutine, Iterable

    from jobstream_processors.errors import LifespanFailed
    from jobstream_processors.resources import Lifespan


class SharedInMemory:
    """Entered when it is made. `run` runs a coroutine on `loop`, the worker's, to its end."""

    def __init__(
        self,
        lifespans: Iterable[Lifespan],
        run: Callable[[Coroutine[Any, Any, Any]], Any],
        loop: asyncio.AbstractEventLoop,
        given: Resources | None,
    ) -> None:
        """With `given`, no lifespan is entered. Raises LifespanFailed."""
        self._run = run
        self._lifetime: Lifetime | None = None
        self._error: LifespanFailed | None = None
        self.resources = given if given is not None else Resources()
        if given is None:
            lifetime = self._lifetime = Lifetime(lifespans, self._broken)
            try:
                self.resources = run(lifetime.begin())
            except BaseException:
                loop.close()
                raise

    def check(self) -> None:
        """Raise LifespanFailed if one ended while jobs ran."""
        if self._error is not None:
            raise self._error

    def leave(self, limit_s: float) -> None:
        """Leave what was entered."""
        if self._lifetime is not None:
            self._run(self._lifetime.end(limit_s))

    def _broken(self, error: LifespanFailed) -> None:
        self._error = error
