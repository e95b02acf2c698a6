"""A steady, bounded load on the app of the soak, whatever the broker does."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Self

from jobstream.errors import EnqueueError

if TYPE_CHECKING:
    from types import ModuleType

TURN_S = 0.25
DELAYED_EVERY = 10
"""One turn of so many enqueues jobs that wait first."""
DELAY = "3s"
TEXT = "x" * 200


class SteadyLoad:
    """Enqueues jobs of all types from a thread of its own. `with SteadyLoad(shop, 300) as load`."""

    def __init__(self, shop: ModuleType, rate: int) -> None:
        """`rate` is in jobs a second; a turn that comes late enqueues no more than another."""
        self._shop = shop
        self._each = max(1, round(rate * TURN_S / len(shop.TYPES)))
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="soak-load", daemon=True)
        self._n = 0
        self.ids: list[str] = []
        self.unknown = 0
        """Jobs whose enqueue failed: written or not, so they are not judged."""

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Enqueue no more; blocks until all are answered."""
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        turn, at = 0, time.monotonic()
        while not self._over.wait(max(0.0, at - time.monotonic())):
            at = max(at + TURN_S, time.monotonic())
            turn += 1
            for job in self._shop.TYPES:
                self._some(job, DELAY if turn % DELAYED_EVERY == 0 else None)

    def _some(self, job: object, delay: str | None) -> None:
        shop, first = self._shop, self._n
        self._n += self._each
        keyed = job is shop.book
        jobs = [
            shop.Work(n, f"key-{n % shop.KEYS}" if keyed else "", TEXT)
            for n in range(first, self._n)
        ]
        # Jobs of a key that wait do not keep its order, and the audit would find fault with it.
        wait = None if keyed else delay
        try:
            key = (lambda work: work.key) if keyed else None
            self.ids += job.enqueue_many(jobs, delay=wait, key=key)  # type: ignore[attr-defined] # a job of the app
        except EnqueueError:
            self.unknown += len(jobs)
