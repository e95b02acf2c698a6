"""Waiting in a test for what another process does, which can only be asked again: with a deadline.

It never sleeps for a fixed time and never gives up in silence.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

ASK_AGAIN_S = 0.05

Answer = TypeVar("Answer")


class TooLate(AssertionError):
    """What a test waited for did not come within its deadline."""


def wait_until(
    condition: Callable[[], Answer],
    what: str,
    *,
    limit_s: float,
    every_s: float = ASK_AGAIN_S,
) -> Answer:
    """Ask `condition` until its answer is true; returns that answer.

    Blocks at most `limit_s` plus one call of `condition`, then raises TooLate, which names `what`
    and the last answer.
    """
    deadline = time.monotonic() + limit_s
    pause = threading.Event()
    while not (answer := condition()):
        if time.monotonic() > deadline:
            message = f"waited {limit_s:g} s in vain until {what}; last answer: {answer!r}"
            raise TooLate(message)
        pause.wait(every_s)
    return answer
