"""What happened, line by line: the same bytes whenever the same seed is played."""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.simulation.runtime import Scheduler


class Trace:
    """Lines with the virtual time in front."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self.lines: list[tuple[int, str, tuple[object, ...]]] = []

    def tell(self, what: str, *told: object) -> None:
        self.lines.append((self._scheduler.now_us, what, told))

    def text(self) -> str:
        return "\n".join(
            " ".join((f"{at_us / 1e6:12.6f}", what, *map(str, told)))
            for at_us, what, told in self.lines
        )

    def digest(self) -> str:
        return blake2b(self.text().encode(), digest_size=16).hexdigest()
