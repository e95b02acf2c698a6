"""How many requests a caller may make: a bucket of tokens each. Pure but for the clock."""

from __future__ import annotations

import time
from collections import OrderedDict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

CALLERS_MAX = 10_000


class RequestRate:
    """`per_s` requests a second each, `burst` at once. Used on one event loop."""

    def __init__(
        self, per_s: float, burst: float, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self.per_s, self._burst, self._monotonic = per_s, burst, monotonic
        self._left: OrderedDict[Hashable, tuple[float, float]] = OrderedDict()
        """Caller → (what was left, when)."""

    def wait_s(self, caller: Hashable) -> float:
        """Take one request; 0 if it may go on, else the seconds until the next one may."""
        now = self._monotonic()
        left, at = self._left.get(caller, (self._burst, now))
        left = min(self._burst, left + (now - at) * self.per_s)
        self._left[caller] = (left - 1 if left >= 1 else left, now)
        self._left.move_to_end(caller)
        while len(self._left) > CALLERS_MAX:
            self._left.popitem(last=False)
        return 0.0 if left >= 1 else (1 - left) / self.per_s
