"""A few views of the app's log, lent to one reading at a time: each has clients of its own.

Their number bounds how many readings of the log go on at once, whatever is asked.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from jobstream.answers.errors import TooBusy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from jobstream.operate.view import AppView

READERS_MAX = 4
WAIT_S_MAX = 5.0


class LogReaders:
    """Lends views of one app. Safe in any thread."""

    def __init__(self, make: Callable[[], AppView], most: int = READERS_MAX) -> None:
        self._make = make
        self._room = threading.BoundedSemaphore(most)
        self._lock = threading.Lock()
        self._idle: list[AppView] = []

    @contextmanager
    def one(self) -> Iterator[AppView]:
        """A view for the time of the block; raises TooBusy where none is free within 5 seconds.

        One whose block fails is thrown away: its clients may wait for a broker that is dead.
        """
        if not self._room.acquire(timeout=WAIT_S_MAX):
            message = "too many requests read the log at this time: ask again in a second"
            raise TooBusy(message)
        try:
            with self._lock:
                view = self._idle.pop() if self._idle else None
            if view is None:
                view = self._make()
            else:
                view.look_again()
            yield view
            with self._lock:
                self._idle.append(view)
        finally:
            self._room.release()
