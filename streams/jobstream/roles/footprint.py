"""What a worker process asks of the memory allocator and the garbage collector.

None of it changes what the process does; all of it shows in `make bench ARGS="--only footprint"`.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from jobstream_processors.background import aside

if TYPE_CHECKING:
    from collections.abc import Iterator

GC_OBJECTS = 50_000
ARENAS = 2
LOOK_S = 30.0
QUIET_CORES = 0.25
"""A process that uses less of the processor does little."""
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


async def memory_given_back(every_s: float = LOOK_S) -> None:
    """Collect cycles and return freed memory to the system while little is done, until cancelled.

    The C library keeps what was freed next to something that is still in use: 40,000 jobs of 3 KB
    left 75 MB behind. And a collector that rests leaves errors that refer to themselves for hours,
    with the Kafka clients in their frames: after an outage, 20 threads and 25 connections. It takes
    10 ms after a burst, else a few, on a thread of its own, since a client that goes may have
    something to wait for; and never under load: there what is freed is needed again at once.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None

    def tidy() -> None:
        gc.collect()
        if trim is not None:  # it is glibc's alone
            trim(0)

    used_s = time.process_time()
    while True:
        await asyncio.sleep(every_s)
        before_s, used_s = used_s, time.process_time()
        if used_s - before_s < QUIET_CORES * every_s:
            await aside("jobstream-trim", tidy)


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
