"""What handlers of a worker in memory share: what lifespans yield, or what a test gives instead."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jobstream_processors.lifespan import Lifetime
from jobstream_processors.resources import Resources

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Coroutine, Iterable

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
        self.resources = given if given is not None else Resources()
        if given is None:
            lifetime = self._lifetime = run(_made(lifespans))
            try:
                self.resources = run(lifetime.begin())
            except BaseException:
                loop.close()
                raise

    def leave(self, limit_s: float) -> None:
        """Leave what was entered."""
        if self._lifetime is not None:
            self._run(self._lifetime.end(limit_s))


async def _made(lifespans: Iterable[Lifespan]) -> Lifetime:
    return Lifetime(lifespans, _raised)


def _raised(error: Exception) -> None:
    raise error
