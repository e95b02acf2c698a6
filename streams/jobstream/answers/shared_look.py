"""One look at the whole app, shared by all who ask: lag, groups, letters, what is in force.

A thread looks at most every one and a half seconds, and only while somebody asks. A broker that is
away leaves the last look, with the reason.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jobstream.answers.as_of import as_of
from jobstream.answers.errors import NoSuch, SourceAway
from jobstream.errors import JobstreamError
from jobstream.operate.errors import NotThere
from jobstream.operate.onlooker import Onlooker
from jobstream.operate.sight import PartitionLag, Sight
from jobstream_processors.background import in_background, log_end
from jobstream_processors.core.orders import Order

if TYPE_CHECKING:
    from collections.abc import Callable

    from jobstream.answers.as_of import AsOf
    from jobstream.operate.view import AppView

log = logging.getLogger("jobstream.answers")

EVERY_S = 1.5
FRESH_S = 3.0
"""A look of this age is given without waiting for the next one."""
ASKED_S = 10.0
"""The thread looks for so long after the last question."""
FAILED_S = 15.0
"""A look that failed within this time is told at once: the next one goes on beside."""
WAIT_S_MAX = 15.0
"""How long one who asks waits for the first look."""


@dataclass(frozen=True, slots=True)
class Taken:
    """One look, and what was in force at it."""

    sight: Sight
    orders: tuple[Order, ...]
    """The control entries in force, oldest first."""
    by_queue: Mapping[str, tuple[PartitionLag, ...]]
    types: Mapping[str, Mapping[str, float]]
    """Queue → job type → about how many wait on it."""
    waits: Mapping[str, Mapping[str, float]]
    """Queue → reason → about how many wait on its ladder for that."""
    at_s: float
    """When it ended, by this process's monotonic clock."""


class SharedLook:
    """Safe in any thread; its own thread is `jobstream-answers`."""

    def __init__(self, make: Callable[[], AppView], every_s: float = EVERY_S) -> None:
        """`make` gives a view for the thread alone. Nothing is asked yet."""
        self._make = make
        self._every_s = every_s
        self._news = threading.Condition()
        self._taken: Taken | None = None
        self._error: Exception | None = None
        self._asked_s = 0.0
        self._failed_s = 0.0
        self._started = self._closed = False

    def now(self, wait_s: float = WAIT_S_MAX) -> tuple[Taken, AsOf]:
        """The last look, one of now if that is soon to be had; blocks for `wait_s` at most.

        Raises SourceAway where there was none yet and none can be had, and NoSuch for an app that
        has no queues on this cluster.
        """
        deadline = time.monotonic() + wait_s
        with self._news:
            self._asked_s = time.monotonic()
            self._begin()
            self._news.notify_all()
            while not (self._is_fresh() or self._has_just_failed()):
                left_s = deadline - time.monotonic()
                if left_s <= 0:
                    break
                self._news.wait(left_s)
            taken, error = self._taken, self._error
        if taken is None:
            if isinstance(error, NotThere):
                raise NoSuch(str(error)) from error
            raise SourceAway(str(error) if error is not None else "no broker has answered yet")
        age_s = time.monotonic() - taken.at_s
        stale = "" if age_s <= FRESH_S else str(error or "the next look takes long")
        return taken, as_of("log", age_s, time.time(), stale)

    @property
    def age_s(self) -> float | None:
        """Seconds since the last look; None before the first."""
        taken = self._taken
        return None if taken is None else time.monotonic() - taken.at_s

    def close(self) -> None:
        """Let the thread end, after the look it is in."""
        with self._news:
            self._closed = True
            self._news.notify_all()

    def _is_fresh(self) -> bool:
        return self._taken is not None and time.monotonic() - self._taken.at_s <= FRESH_S

    def _has_just_failed(self) -> bool:
        """Whether the last look failed, so that waiting for the next one is no use."""
        return self._error is not None and time.monotonic() - self._failed_s <= FAILED_S

    def _begin(self) -> None:
        if not self._started:
            self._started = True
            in_background("jobstream-answers", self._run, log_end("jobstream-answers"))

    def _run(self) -> None:
        onlooker = view = None
        while True:
            with self._news:
                self._news.wait_for(self._is_wanted)
                if self._closed:
                    return
            began_s = time.monotonic()
            try:
                if onlooker is None or view is None:
                    view = self._make()
                    onlooker = Onlooker(view)
                taken = _look(onlooker, view)
                self._tell(taken, None)
            except Exception as error:  # noqa: BLE001 - who asks is told; the next look tries again
                self._tell(None, error)
                if onlooker is not None:
                    onlooker.reconnect()
            with self._news:
                pause_s = self._every_s - (time.monotonic() - began_s)
                self._news.wait_for(lambda: self._closed, max(0.05, pause_s))

    def _is_wanted(self) -> bool:
        return self._closed or time.monotonic() - self._asked_s <= ASKED_S

    def _tell(self, taken: Taken | None, error: Exception | None) -> None:
        with self._news:
            if error is not None and str(error) != str(self._error):
                ours = isinstance(error, JobstreamError)
                log.warning("look_failed", extra={"reason": str(error)}, exc_info=not ours)
            if taken is not None:
                self._taken = taken
            if error is not None:
                self._failed_s = time.monotonic()
            self._error = error
            self._news.notify_all()


def _look(onlooker: Onlooker, view: AppView) -> Taken:
    sight = onlooker.look()
    by_queue = defaultdict(list)
    for row in sight.partitions:
        by_queue[row.queue].append(row)
    return Taken(
        sight=sight,
        orders=tuple(view.orders(onlooker.broker_ms)),
        by_queue={queue: tuple(rows) for queue, rows in by_queue.items()},
        types=_by_queue(sight.backlog),
        waits=_by_queue({place: wait.jobs for place, wait in sight.ladder.items()}),
        at_s=time.monotonic(),
    )


def _by_queue(numbers: Mapping[tuple[str, str], float]) -> dict[str, dict[str, float]]:
    """Those that are not 0; looked up once for each queue, where there are a thousand."""
    found: defaultdict[str, dict[str, float]] = defaultdict(dict)
    for (queue, name), number in numbers.items():
        if number:
            found[queue][name] = round(number, 1)
    return dict(found)
