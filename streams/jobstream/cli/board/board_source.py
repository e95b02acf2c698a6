"""Whom the board asks and who acts by it: an app, on threads of its own, a bounded number at once.

The loop that draws never waits for a broker, a database or a process.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, TypeVar

from jobstream.acting.act_record import ActedBy
from jobstream.acting.operations import Operations
from jobstream.answers.thread_room import ThreadRoom
from jobstream.caller_name import myself

if TYPE_CHECKING:
    from collections.abc import Callable

    from jobstream.answers.app_site import Site

T = TypeVar("T")

THREADS_MAX = 12
"""Questions and acts at once: one of each pane, and some more that somebody asked for."""
WAIT_S_MAX = 5.0


class BoardSource:
    """One app's. Used on the loop of the board."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.operations = Operations()
        self._room = ThreadRoom("jobstream-top", THREADS_MAX, WAIT_S_MAX)

    async def ask(self, function: Callable[..., T], *given: Any) -> T:  # noqa: ANN401 - what it takes
        """Call what blocks on a thread; raises TooBusy where too many calls go on already."""
        return await self._room.ask(function, *given)

    def by(self, why: str) -> ActedBy:
        """Who acts by this board: the user of the process. Raises ConfigError for a long reason."""
        name, _, host = myself().partition("@")
        return ActedBy(name, host).with_why(why)

    def now_s(self) -> float:
        """Seconds since the epoch."""
        return time.time()

    def monotonic(self) -> float:
        """Seconds by the clock that ages are counted by."""
        return time.monotonic()
