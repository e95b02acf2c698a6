"""Puts the simulated threads, queues and clocks where the product takes them from.

Modules of the product hold the real ones by name; for the length of a simulation those names mean
the simulated ones. A compiled module keeps the modules that it imports where no name leads to them,
so on the compiled build the real modules answer with the simulated things, to this thread alone.
Nothing of the product itself is replaced.
"""

from __future__ import annotations

import concurrent.futures
import queue
import sys
import threading
import time
from concurrent.futures import _base
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from zlib import crc32

from tests.simulation import primitives

from jobstream.build_kind import build_kind
from jobstream_processors.assignment.lane import Assigned
from jobstream_processors.delivery import Delivery

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.simulation.runtime import Scheduler

PACKAGES = ("jobstream.", "jobstream_processors.")
INSTEAD: dict[int, object] = {
    id(real): simulated
    for real, simulated in (
        (threading, primitives.threading),
        (queue, primitives.queue),
        (time, primitives.time),
        (queue.SimpleQueue, primitives.SimpleQueue),
        (queue.Queue, primitives.Queue),
        (concurrent.futures.ThreadPoolExecutor, primitives.ThreadPoolExecutor),
        (threading.Thread, primitives.Thread),
        (threading.Event, primitives.Event),
        (threading.Lock, primitives.Lock),
        (threading.Condition, primitives.Condition),
    )
}
_Names = list[tuple[dict[str, Any], str, object, object]]


def _names() -> _Names:
    """(namespace, name, real, simulated) of all that the product holds."""
    found: _Names = [(vars(_base), "threading", threading, primitives.threading)]
    if build_kind() == "compiled":
        found += _held_by_compiled()
    for module_name, module in sorted(sys.modules.items()):
        if module_name.startswith(PACKAGES) and module is not None:
            space = vars(module)
            found += [
                (space, name, value, INSTEAD[id(value)])
                for name, value in space.items()
                if id(value) in INSTEAD
            ]
    return found


def _held_by_compiled() -> _Names:
    """What compiled modules find in the real modules: each looks at which thread asks."""
    player = threading.get_ident()
    return [
        (vars(real), name, theirs, _by_thread(player, theirs, ours))
        for real, name, theirs, ours in (
            (threading, "Event", threading.Event, primitives.Event),
            (threading, "Lock", threading.Lock, primitives.Lock),
            (queue, "SimpleQueue", queue.SimpleQueue, primitives.SimpleQueue),
            (time, "monotonic", time.monotonic, primitives.time.monotonic),
            (time, "perf_counter", time.perf_counter, primitives.time.perf_counter),
        )
    ]


def _by_thread(
    player: int, theirs: Callable[..., Any], ours: Callable[..., Any]
) -> Callable[..., Any]:
    """The simulated thing for who plays, the real one for a test runner's own threads."""

    def ask(*given: object, **named: object) -> object:
        return (ours if threading.get_ident() == player else theirs)(*given, **named)

    return ask


@contextmanager
def installed(scheduler: Scheduler) -> Iterator[None]:
    """The product waits and reads clocks by `scheduler` inside the block."""
    primitives.Stage.scheduler = scheduler
    names = _names()
    for space, name, _, simulated in names:
        space[name] = simulated
    # By default the address in memory, and with it the order of a set, which differs from run to
    # run. Equality stays identity.
    hashes = [(kind, kind.__hash__, ours) for kind, ours in HASHES]
    for kind, _, ours in hashes:
        setattr(kind, HASH, ours)
    try:
        yield
    finally:
        for kind, theirs, _ in hashes:
            setattr(kind, HASH, theirs)
        for space, name, real, _ in names:
            space[name] = real


def _of_lane(lane: Assigned) -> int:
    topic, partition = lane.source
    return crc32(topic.encode()) + partition


def _of_delivery(delivery: Delivery) -> int:
    return delivery.offset


HASH = "__hash__"
HASHES: tuple[tuple[type, Callable[..., int]], ...] = (
    (Assigned, _of_lane),
    (Delivery, _of_delivery),
)
