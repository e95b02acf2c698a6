"""Notices when the machine itself stood still: a freeze that no test caused, and that is no fault.

Machines that share a host stop now and then, for seconds, with everything on them. Workers then
lose their sessions as they would by SIGSTOP. A verdict that did not know of it would find fault
with the product for what it does right.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Self

from jobstream.testing.ledger import Kill, now_ms

if TYPE_CHECKING:
    from types import TracebackType

LOOK_S = 0.2
STILL_S = 1.5
"""A busy machine keeps a thread waiting for less; the shortest session is 3 s, and less than that
of stillness is needed to lose one."""
AFTER_MS = 3_000
"""So long after it, members may still learn that they lost their partitions."""
STEP_MS = 100
"""Between two starts of one delivery there is more time than that."""


def cut_off(pid: int | None, since_ms: int, until_ms: int) -> list[Kill]:
    """What cut off runs of a process, or of any, at one time between these two."""
    return [Kill(pid, at_ms) for at_ms in range(since_ms, until_ms + STEP_MS, STEP_MS)]


class Stillness:
    """A thread that looks at the clock. `with Stillness() as stillness: …`."""

    def __init__(self) -> None:
        self.seen: list[Kill] = []
        """Each time the machine stood still, as what may have cut off any run, for `audit`."""
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, name="stillness", daemon=True)

    def __enter__(self) -> Self:
        """Begin to look."""
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop; blocks for one look at most."""
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        last = time.monotonic()
        while not self._over.wait(LOOK_S):
            now = time.monotonic()
            self.note(now - last)
            last = now

    def note(self, apart_s: float) -> None:
        """So much time lay between two looks that should be LOOK_S apart."""
        if apart_s > STILL_S:
            now = now_ms()
            self.seen += cut_off(None, now - round(apart_s * 1_000), now + AFTER_MS)
