"""What a worker process asks of the memory allocator and the garbage collector, once, at its start.

Neither changes what the process does; both show in `make bench`.
"""

from __future__ import annotations

import ctypes
import gc
import sys

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


def rest_collector() -> None:
    """Leave alone what was made so far, and look for cycles rarely.

    A job is a few short-lived objects that go by their reference counts: the collector would walk
    them all the time and find nothing.
    """
    gc.freeze()
    gc.set_threshold(GC_OBJECTS, 20, 100)
