"""What happens to a process that a handler forked: it ends where the handler ends in it.

The copy has the worker's sockets, pipes and loop, but none of its threads. If it went on, it would
take events and report outcomes that belong to the worker. It starts nothing and waits for nothing.

A lock on a file and a port that listens belong to each process with a copy of the descriptor:
what may outlive the worker must not keep them. Closing a copy unlocks nothing for the others.

What ends its own threads when it is destroyed must not be destroyed there: they are not in it.
"""

from __future__ import annotations

import ctypes
import os
from contextlib import suppress
from typing import TYPE_CHECKING, NoReturn, Protocol
from weakref import WeakSet

if TYPE_CHECKING:
    from collections.abc import Callable


class Forked(Protocol):
    """Something that must not go on in a forked child."""

    def forked(self) -> None:
        """Called in the child, right after the fork, by the thread that forked."""


class Held(Protocol):
    """Something with a descriptor that must not be open in a forked child."""

    def close(self) -> None:
        """Close the descriptor, and do nothing that is felt outside of this process."""


class InChild:
    """Stands for an object of a compiled class, which no weak reference can be made to.

    Its owner keeps it. The two refer to each other, so it may outlast its owner for a while.
    """

    def __init__(self, forked: Callable[[], None]) -> None:
        self.forked = forked


_told: WeakSet[Forked] = WeakSet()
_closed: WeakSet[Held] = WeakSet()
_kept: WeakSet[object] = WeakSet()


def leave(*_: object, **__: object) -> NoReturn:
    """End this process at once; what it inherited is left as it is."""
    os._exit(0)


def tell_in_child(executor: Forked) -> None:
    """Call `executor.forked()` in every child forked from now on, as long as it exists."""
    _told.add(executor)


def close_in_child(held: Held) -> None:
    """Call `held.close()` in every child forked from now on, as long as it exists."""
    _closed.add(held)


def keep_in_child(threaded: object) -> None:
    """Never destroy it in a child forked from now on, whoever lets go of it there.

    It is leaked on purpose: what it would wait for at its end does not exist in the child.
    """
    _kept.add(threaded)


def _begin() -> None:
    """In a child, right after the fork."""
    for threaded in list(_kept):  # before anybody lets go of it
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(threaded))
    _kept.clear()
    for executor in list(_told):
        executor.forked()
    for held in list(_closed):
        with suppress(OSError):
            held.close()


os.register_at_fork(after_in_child=_begin)
