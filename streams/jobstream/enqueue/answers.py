"""Brings the reports on records to the coroutines that wait for them: one call of a loop for many.

Reports come on the thread that serves them. To wake a loop for each would cost more than all the
rest of an enqueue, and so would a timer each.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jobstream.enqueue.acks import Done

Answer = asyncio.Future[tuple[int, int]]
"""(partition, offset) of one record."""


class Answers:
    """What the coroutines of one event loop wait for."""

    def __init__(self, loop: asyncio.AbstractEventLoop, limit_s: float) -> None:
        """Each answer fails with TimeoutError after `limit_s`."""
        self.loop = loop
        self._limit_s = limit_s
        self._come: deque[tuple[Answer, Exception | None, int, int]] = deque()
        """Reports that the loop did not see yet."""
        self._is_called = False
        """Whether the loop is called, and has not come."""
        self._due: dict[Answer, float] = {}
        """When each that is waited for is given up, by the loop's clock: the soonest first."""
        self._is_timed = False
        """Whether a timer runs: one is enough, since all wait for equally long."""

    def expect(self) -> tuple[Answer, Done]:
        """The future to wait for, and what the report is to be given to. Called on the loop."""
        answer: Answer = self.loop.create_future()
        self._due[answer] = due = self.loop.time() + self._limit_s
        if not self._is_timed:
            self._is_timed = True
            self.loop.call_at(due, self._expire)
        return answer, partial(self._report, answer)

    def unsent(self, answer: Answer) -> None:
        """The record was not taken after all: no report on it will come."""
        if self._due.pop(answer, None) is None and answer.done() and not answer.cancelled():
            answer.exception()  # Its time was over: looked at, so that it is no news to the loop.

    def _report(self, answer: Answer, error: Exception | None, partition: int, offset: int) -> None:
        """Called on any thread."""
        self._come.append((answer, error, partition, offset))
        if not self._is_called:
            self._is_called = True
            # On a closed loop no caller is left that waits for the answer.
            with contextlib.suppress(RuntimeError):
                self.loop.call_soon_threadsafe(self._give)

    def _give(self) -> None:
        # First: who appends from now on calls again, whether or not this finds it.
        self._is_called = False
        for _ in range(len(self._come)):
            answer, error, partition, offset = self._come.popleft()
            self._due.pop(answer, None)
            if answer.done():
                continue
            if error is None:
                answer.set_result((partition, offset))
            else:
                answer.set_exception(error)

    def _expire(self) -> None:
        now = self.loop.time()
        while self._due:
            answer, due = next(iter(self._due.items()))
            if due > now:
                self.loop.call_at(due, self._expire)
                return
            del self._due[answer]
            if not answer.done():
                answer.set_exception(TimeoutError())
        self._is_timed = False
