"""The state of the model: everything the broker holds, the workers, and what is left of the budget.

A state is a value: two worlds that are equal have the same future. Nothing happens here.
"""

from __future__ import annotations

from typing import NamedTuple

from jobstream_processors.core.known import UNKNOWN, Known

Headers = tuple[tuple[str, bytes], ...]
Ranges = tuple[tuple[int, int], ...]
Delivery = tuple[int, int]
"""(redrive, seq)."""

REDRIVES = 1
"""How often people redrive the job."""
JUDGED, RUNNING, ENDED = range(3)
"""Steps of a flight. From the last one on it is in the settler's hands."""


class Standing(NamedTuple):
    """A copy that waits on a rung."""

    headers: Headers
    rung: str
    appended_ms: int


class Flight(NamedTuple):
    """The job's delivery that a worker has in its hands."""

    offset: int
    headers: Headers
    step: int = JUDGED
    outcome: int = -1
    """Index of the outcome, once there is one."""
    answers: tuple[bool, ...] = ()
    """Which publishes of its settlement were acknowledged, so far."""


class Worker(NamedTuple):
    """One assignment of the partition to a process."""

    shard: Known
    start: int
    finished: Ranges
    begun: int
    open: frozenset[int] = frozenset()
    """Offsets begun and not finished."""
    flight: Flight | None = None
    started: frozenset[Delivery] = frozenset()
    taking_over: tuple[bool | Known | tuple[int, Ranges], ...] | None = None
    """What the calls of its take-over were answered so far; None once it is through."""


class Budget(NamedTuple):
    """How often each kind of trouble may still come; `faults` bounds them all together."""

    faults: int
    crashes: int = 2
    freezes: int = 1
    refusals: int = 1
    """Publishes that fail for the worker although the record was appended."""
    duplicates: int = 1
    """Hops repeated by the delayer, and enqueues repeated by the producer."""
    redrives: int = REDRIVES
    redriver_deaths: int = 1
    losses: int = 1
    """Deletions of the group's offsets."""
    windows: int = 1
    """Passings of the dedup window, after which every row is gone."""


class World(NamedTuple):
    """One state. In `queue`, None is a record of another job."""

    budget: Budget
    queue: tuple[Headers | None, ...] = ((),)
    rungs: tuple[Standing, ...] = ()
    rows: tuple[tuple[bytes, bytes], ...] = ()
    """The dedup topic, compacted at once: the last row of each key."""
    letters: tuple[tuple[int, Headers], ...] = ()
    """Open dead letters by redrive number."""
    committed: int | None = None
    mirror: tuple[int, Ranges] = (0, ())
    owner: Worker | None = None
    frozen: Worker | None = None
    """The last owner, frozen past its session."""
    redriver: tuple[int, Headers] | None = None
    """The letter that somebody has begun to redrive: one of copy and tombstone is published."""
    acked: Known = UNKNOWN
    """What rows tell that an owner that was not frozen had acknowledged, or found at its claim."""
    ends: frozenset[tuple[int, str]] = frozenset()
    """(redrive, state) of every end that such an owner had acknowledged."""
    redrives: int = 0
    """The newest redrive number published."""
    broken: str = ""
    """The property that the last event broke."""


Event = tuple[str, World]
"""What happened, and the world after it."""


def spend(budget: Budget, kind: str) -> Budget:
    """The budget after one trouble of that kind."""
    return budget._replace(faults=budget.faults - 1, **{kind: getattr(budget, kind) - 1})
