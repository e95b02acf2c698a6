"""What happens to a process that a handler forked: it ends where the handler ends in it.

The copy has the worker's sockets, pipes and loop, but none of its threads. If it went on, it would
take events and report outcomes that belong to the worker. It starts nothing and waits for nothing.
"""

from __future__ import annotations

import os
import weakref
from typing import NoReturn, Protocol


class Forked(Protocol):
    """Something that must not go on in a forked child."""

    def forked(self) -> None:
        """Called in the child, right after the fork, by the thread that forked."""


def leave(*_: object, **__: object) -> NoReturn:
    """End this process at once; what it inherited is left as it is."""
    os._exit(0)


def tell_in_child(executor: Forked) -> None:
    """Call `executor.forked()` in every child forked from now on, as long as it exists."""
    myself = weakref.ref(executor)

    def tell() -> None:
        alive = myself()
        if alive is not None:
            alive.forked()

    os.register_at_fork(after_in_child=tell)
