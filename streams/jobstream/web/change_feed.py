"""Tells subscribers what changes: queues, what is in force, and ends of jobs. All is bounded.

One task looks for all of them. Each has a buffer of its own; a subscriber that does not read loses
its stream, never the time of others.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jobstream.answers.errors import AnswerError, TooBusy
from jobstream.answers.queues_screen import queues
from jobstream.web.documents import plain

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from jobstream.answers.app_site import Site
    from jobstream.answers.job_ends import JobEnded

log = logging.getLogger("jobstream.web")

BUFFER_MAX = 1_000
EVERY_S = 1.5


@dataclass(frozen=True, slots=True)
class ChangeEvent:
    """One event of a stream."""

    name: str
    """`queue`, `source` or `job`."""
    document: Any
    queue: str
    """That it is about; empty for the whole app."""


class Subscriber:
    """One stream's buffer. Used on the event loop."""

    def __init__(self, wants: Callable[[ChangeEvent], bool]) -> None:
        self._wants = wants
        self._waiting: deque[ChangeEvent] = deque()
        self._news = asyncio.Event()
        self.is_cut = False
        """It did not read, and its buffer was full."""

    def put(self, change: ChangeEvent) -> None:
        """Keep it for the stream, if that wants it."""
        if self.is_cut or not self._wants(change):
            return
        if len(self._waiting) >= BUFFER_MAX:
            self.is_cut = True
            self._waiting.clear()
        else:
            self._waiting.append(change)
        self._news.set()

    def end(self) -> None:
        """Wake the stream, which is to end."""
        self._news.set()

    async def take(self, wait_s: float) -> list[ChangeEvent]:
        """What came since the last time; waits for the first, for that long at most."""
        try:
            await asyncio.wait_for(self._news.wait(), wait_s)
        except TimeoutError:
            return []
        self._news.clear()
        found = list(self._waiting)
        self._waiting.clear()
        return found


class ChangeFeed:
    """Those who subscribe to one application. Used on its event loop."""

    def __init__(
        self,
        site: Site,
        ask: Callable[..., Awaitable[Any]],
        closing: asyncio.Event,
        subscribers_max: int,
    ) -> None:
        """`ask` calls what blocks on a thread; `closing` is set when the server stops."""
        self._site, self._ask, self._closing = site, ask, closing
        self._subscribers_max = subscribers_max
        self._subscribers: set[Subscriber] = set()
        self._task: asyncio.Task[None] | None = None
        self._jobs = 0
        self._stop_jobs: Callable[[], None] | None = None
        self._begins = asyncio.Lock()
        self._last: dict[str, Any] = {}

    def __len__(self) -> int:
        """How many streams are open."""
        return len(self._subscribers)

    async def subscribe(self, wants: Callable[[ChangeEvent], bool], *, jobs: bool) -> Subscriber:
        """Begin a stream; raises TooBusy beyond the bound. `jobs`: it wants ends of jobs, too."""
        if len(self._subscribers) >= self._subscribers_max:
            message = f"{len(self._subscribers)} streams are open: close one, or poll"
            raise TooBusy(message)
        made = Subscriber(wants)
        self._subscribers.add(made)
        for name, row in self._last.items():
            made.put(ChangeEvent("queue", row, name))
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._look())
        if jobs:
            self._jobs += 1
            try:
                await self._hear_jobs()
            except BaseException:
                self.unsubscribe(made, jobs=True)
                raise
        return made

    def unsubscribe(self, subscriber: Subscriber, *, jobs: bool) -> None:
        """End a stream."""
        self._subscribers.discard(subscriber)
        if jobs:
            self._jobs -= 1
            if not self._jobs and self._stop_jobs is not None:
                self._stop_jobs()
                self._stop_jobs = None

    async def _hear_jobs(self) -> None:
        async with self._begins:  # Another one may come while this waits.
            if self._stop_jobs is None:
                loop = asyncio.get_running_loop()
                self._stop_jobs = await self._ask(
                    self._site.ends.listen,
                    lambda end: loop.call_soon_threadsafe(self._ended, end),
                )

    def end_all(self) -> None:
        """Wake every stream: the server stops."""
        for each in self._subscribers:
            each.end()

    def _ended(self, end: JobEnded) -> None:
        self._tell(ChangeEvent("job", plain(end), end.queue))

    def _tell(self, change: ChangeEvent) -> None:
        for each in self._subscribers:
            each.put(change)

    async def _look(self) -> None:
        trouble = ""
        while self._subscribers and not self._closing.is_set():
            try:
                found = await self._ask(queues, self._site)
            except AnswerError as error:
                now = str(error)
            else:
                now = found.as_of.stale
                rows = {row.name: plain(row) for row in found.queues}
                for name, row in rows.items():
                    if _known(self._last.get(name)) != _known(row):
                        self._tell(ChangeEvent("queue", row, name))
                for name in self._last.keys() - rows.keys():
                    self._tell(ChangeEvent("queue", {"name": name, "gone": True}, name))
                self._last = rows
            if now != trouble:
                trouble = now
                self._tell(ChangeEvent("source", {"source": "log", "stale": trouble}, ""))
            with suppress(TimeoutError):
                await asyncio.wait_for(self._closing.wait(), EVERY_S)
        self._last = {}


def _known(row: Any) -> Any:  # noqa: ANN401 - a row as JSON
    """A row without what changes by the mere passing of time."""
    if row is None:
        return None
    ages = {"oldest_s", "overdue_s", "letters_oldest_s"}
    kept = {name: value for name, value in row.items() if name not in ages}
    return kept | {"overdue": round(row["overdue_s"])}
