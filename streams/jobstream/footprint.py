"""What a worker process asks of the memory allocator and the garbage collector, once, at its start.

Neither changes what the process does; both show in `make bench`.
"""

from __future__ import annotations

import ctypes
import gc
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

GC_OBJECTS = 50_000
ARENAS = 2
_M_ARENA_MAX = -8  # mallopt(3)


def few_arenas() -> None:
    """Let the C library share two pools of memory among all threads, where it is glibc.

    By default each of some forty threads may get one of its own, and what one frees the next does
    not find: some 20 MB more after an hour. Call it before threads are started.
    """
    if sys.platform == "linux":
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
        if mallopt is not None:
            mallopt(_M_ARENA_MAX, ARENAS)


@contextmanager
def resting_collector() -> Iterator[None]:
    """Leave alone what was made so far, and look for cycles rarely, until the block ends.

    A job is a few short-lived objects that go by their reference counts: the collector would walk
    them all the time and find nothing. Afterwards it is as it was: a process that goes on, as one
    that runs tests does, must get back what the role had in cycles, its connections among them.
    """
    before = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(GC_OBJECTS, 20, 100)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()
