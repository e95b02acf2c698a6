"""What a child process does last where its worker lets it go. A killed one does none of it."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

log = logging.getLogger("jobstream.worker")

_acts: list[Callable[[], object]] = []


def at_end(act: Callable[[], object]) -> None:
    """Have `act` called on the main thread once no job follows, and what handlers share was left.

    The worker gives a child some seconds for all of it, so `act` should block for few of them.
    """
    _acts.append(act)


def end() -> None:
    """Call them, the last one first; what one raises is logged and keeps none from the next."""
    while _acts:
        try:
            _acts.pop()()
        except BaseException:
            log.exception("child_end_failed")
