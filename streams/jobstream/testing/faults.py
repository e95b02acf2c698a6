"""Faults of a publish, which a test switches on. Pure decisions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from jobstream_processors.ports import Outgoing

Chosen = Callable[[Outgoing], bool]
Fate = Literal["absent", "appended", "mixed"]
"""Whether a record whose publish fails is in the log all the same; mixed: every other one."""


class PublishFaults:
    """The faults switched on. Not thread-safe; the broker guards it."""

    def __init__(self) -> None:
        self.slow_ms = 0
        """Virtual time between an append and its acknowledgement."""
        self.holds: Chosen | None = None
        """Chooses the records that are held back."""
        self._left = 0
        self._chosen: Chosen | None = None
        self._fate: Fate = "mixed"
        self._failed = 0

    def fail(self, which: int | Chosen, fate: Fate) -> None:
        """Fail the next `which` records, or all those that `which` chooses until healed."""
        self._fate = fate
        self._failed = 0
        self._left, self._chosen = (which, None) if isinstance(which, int) else (0, which)

    def heal(self) -> None:
        """No more faults."""
        self.slow_ms = 0
        self._left, self._chosen, self.holds = 0, None, None

    def fate_of(self, record: Outgoing) -> Literal["acknowledged", "absent", "appended"]:
        """Choose the fault for a record that the broker would take, and count it."""
        if self._left:
            self._left -= 1
        elif self._chosen is None or not self._chosen(record):
            return "acknowledged"
        self._failed += 1
        if self._fate == "mixed":
            return "appended" if self._failed % 2 else "absent"
        return self._fate
