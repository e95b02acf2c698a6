"""Back-pressure: whether a queue takes one more job, and when to ask again if it does not.

Decided from looks at what waits on the queue. How the looks are taken, an edge knows.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable

Bound = Literal["depth_max", "age_max"]
RETRY_MS_MIN = 1_000
RETRY_MS_MAX = 60_000
RETRY_MS_UNKNOWN = 5_000
"""What is said after the first look, which knows no rate yet."""
PACE_MS = 30_000
"""How far back looks tell the rate at which the queue drains."""
APART_MS = 500
"""Looks that are closer than that count as one."""


@dataclass(frozen=True, slots=True)
class QueueBounds:
    """What a queue declares: at least one of the two bounds."""

    depth_max: int | None = None
    """Unfinished jobs on the queue, those that run included."""
    age_max_ms: int | None = None
    """How long the oldest of them may have been there."""
    refuses: bool = True
    """False: enqueues beyond a bound are only told."""


@dataclass(frozen=True, slots=True)
class QueueLook:
    """What was seen of a queue at one moment; what is not known of a partition is left out."""

    at_ms: int
    """Broker time."""
    depth: int
    """Unfinished jobs."""
    finished: Mapping[int, int] = field(default_factory=dict)
    """Partition → how many of its records are finished; only differences mean something."""
    late: int = 0
    """Those of `depth` that are older than the age bound."""
    age_ms: int | None = None
    """The oldest is at least so old; None: not asked, or nothing is late."""


@dataclass(frozen=True, slots=True)
class Over:
    """A queue is over a bound."""

    bound: Bound
    depth: int
    age_ms: int | None
    retry_ms: int
    """When it is worth to try again: the time in which what is too much will be finished."""


class Pace:
    """How fast a queue drains, by its last looks. Not thread-safe."""

    def __init__(self) -> None:
        self._looks: deque[QueueLook] = deque()

    def take(self, look: QueueLook) -> float | None:
        """Learn from the newest look; jobs finished per second, None while that is not known."""
        looks = self._looks
        if looks and look.at_ms < looks[-1].at_ms:
            looks.clear()  # the clock was set back
        if len(looks) > 1 and looks[-1].at_ms - looks[-2].at_ms < APART_MS:
            looks.pop()
        looks.append(look)
        while len(looks) > 2 and looks[1].at_ms <= look.at_ms - PACE_MS:  # noqa: PLR2004 - two are a rate
            looks.popleft()
        first = looks[0]
        passed_ms = look.at_ms - first.at_ms
        if passed_ms < APART_MS:
            return None
        gone = sum(
            # A reset takes a watermark back: that is no work undone.
            max(0, count - first.finished.get(partition, count))
            for partition, count in look.finished.items()
        )
        return gone * 1_000 / passed_ms


def judge(bounds: QueueBounds, look: QueueLook, per_s: float | None) -> Over | None:
    """Whether the queue is over a bound; of two, the one that takes longer to get under.

    `per_s` is the rate at which jobs are finished, None if it is not known.
    """
    excess: list[tuple[int, Bound]] = []
    if bounds.depth_max is not None and look.depth >= bounds.depth_max:
        excess.append((look.depth - bounds.depth_max + 1, "depth_max"))
    if bounds.age_max_ms is not None and look.late > 0:
        excess.append((look.late, "age_max"))
    if not excess:
        return None
    much, bound = max(excess)
    return Over(bound, look.depth, look.age_ms, retry_ms(much, per_s))


def retry_ms(excess: int, per_s: float | None) -> int:
    """How long until `excess` jobs are finished at that rate, between a second and a minute."""
    if per_s is None:
        return RETRY_MS_UNKNOWN
    if per_s <= 0:
        return RETRY_MS_MAX
    return max(RETRY_MS_MIN, round(min(RETRY_MS_MAX, excess * 1_000 / per_s)))


def unfinished(start: int, stop: int, finished: Iterable[tuple[int, int]]) -> int:
    """Offsets in [start, stop) that are in none of the ranges, which do not overlap."""
    if stop <= start:
        return 0
    done = sum(max(0, min(end, stop) - max(low, start)) for low, end in finished)
    return stop - start - done
