"""A queue as an app declares it: its name, its size and how long its records live. Plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

from jobstream.errors import ConfigError
from jobstream.topics.names import (
    APP_WIDE,
    check_name,
    dedup_topic,
    dlq_topic,
    queue_topic,
    rung_topic,
)
from jobstream_processors.core.duration import Duration, to_ms
from jobstream_processors.core.ladder import RUNGS
from jobstream_processors.core.stride import check_weight
from jobstream_processors.errors import InvalidOption
from jobstream_processors.queue_plan import QueuePlan

if TYPE_CHECKING:
    from jobstream_processors.core.back_pressure import QueueBounds

PARTITIONS = 12
PARTITIONS_MAX = 10_000
LIFE_MS_MIN = 60_000
"""Retention and dedup window below a minute are shorter than an ordinary rebalance."""
SLO_MS_MIN = 1_000
AGE_MS_MIN = 5_000
"""Workers say about once a second how far they came, and a look is as old: less tells nothing."""
DEPTH_MAX = 1_000_000_000
Mode = Literal["refuse", "warn"]
_NO_RUNGS: Mapping[str, int] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Queue:
    """A queue. Refuses what can't work with ConfigError, which names the value and the fix."""

    name: str
    """1 to 100 of a-z, 0-9 and "-"; not offsets, schemas, schedules or control."""
    partitions: int = PARTITIONS
    """Of the queue, its dead letters and its rows. Grown by `topics apply --grow`; never fewer."""
    retention: Duration = "14d"
    """How long a job may wait; older ones are deleted, run or not."""
    dedup: Duration = "24h"
    """The dedup window: how long a settled job's row lives."""
    rungs: Mapping[str, int] | None = field(default=None, hash=False)
    """Partition counts of single rungs, as in {"1d": 1}; the others have the queue's count."""
    slo: Duration = "5m"
    """The objective of the queue: how long a job may be overdue."""
    depth_max: int | None = None
    """Unfinished jobs beyond which enqueues are refused; None: no bound."""
    age_max: Duration | None = None
    """The same for the time that the oldest of them has been on the queue."""
    mode: Mode = "refuse"
    """What an enqueue beyond a bound gets: a refusal, or a warning in the log."""
    weight: int = 1
    """Its share of a worker's slots while several queues have work: 1 to 100."""

    def __post_init__(self) -> None:
        """Refuse a bad name, count or duration; keep `rungs` from changing later."""
        _check_queue_name(self.name)
        named = f"queue {self.name!r}: "
        advice = "use 4 or 12, or one per core"
        _check_count(f"{named}partitions", self.partitions, PARTITIONS_MAX, advice)
        for option in ("retention", "dedup"):
            _option_ms(self.name, option, getattr(self, option), LIFE_MS_MIN)
        for rung, partitions in (self.rungs or _NO_RUNGS).items():
            _check_rung(named, rung)
            advice = f"a rung has at most the queue's {self.partitions}"
            _check_count(f"{named}rungs[{rung!r}]", partitions, self.partitions, advice)
        _option_ms(self.name, "slo", self.slo, SLO_MS_MIN)
        _check_bounds(self)
        _check_weight(self.name, self.weight)
        object.__setattr__(self, "rungs", MappingProxyType(dict(self.rungs or _NO_RUNGS)))

    @property
    def retention_ms(self) -> int:
        """How long a job may wait, in milliseconds."""
        return _option_ms(self.name, "retention", self.retention, LIFE_MS_MIN)

    @property
    def dedup_ms(self) -> int:
        """The dedup window, in milliseconds."""
        return _option_ms(self.name, "dedup", self.dedup, LIFE_MS_MIN)

    @property
    def slo_ms(self) -> int:
        """The objective of the queue, in milliseconds."""
        return _option_ms(self.name, "slo", self.slo, SLO_MS_MIN)

    @property
    def bounds(self) -> QueueBounds | None:
        """What back-pressure goes by; None if no bound is declared."""
        if self.depth_max is None is self.age_max:
            return None
        from jobstream_processors.core.back_pressure import QueueBounds  # noqa: PLC0415 - where one is

        age_ms = None
        if self.age_max is not None:
            age_ms = _option_ms(self.name, "age_max", self.age_max, AGE_MS_MIN)
        return QueueBounds(self.depth_max, age_ms, refuses=self.mode == "refuse")

    @property
    def rung_partitions(self) -> Mapping[str, int]:
        """Partition count of every rung, from the shortest delay to the longest."""
        own = self.rungs or _NO_RUNGS
        return {rung: own.get(rung, self.partitions) for rung in RUNGS}

    def plan(self, app: str) -> QueuePlan:
        """Topic names and partition counts of this queue in the app `app`."""
        check_name("app name", app)
        rungs = {
            rung: (rung_topic(app, self.name, rung), partitions)
            for rung, partitions in self.rung_partitions.items()
        }
        return QueuePlan(
            name=self.name,
            topic=queue_topic(app, self.name),
            dlq=dlq_topic(app, self.name),
            dedup=dedup_topic(app, self.name),
            partitions=self.partitions,
            window_ms=self.dedup_ms,
            rungs=MappingProxyType(rungs),
            slo_ms=self.slo_ms,
            weight=self.weight,
        )


def _check_queue_name(name: str) -> None:
    check_name("queue name", name)
    if name in APP_WIDE:
        message = f"queue name {name!r} is reserved for a topic of the app: choose another name"
        raise ConfigError(message)


def _check_count(option: str, value: int, most: int, advice: str) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= most:
        message = f"{option}={value!r} is outside 1 .. {most}: {advice}"
        raise ConfigError(message)


def _check_bounds(queue: Queue) -> None:
    if queue.depth_max is not None:
        advice = "several times what the queue passes in a second, or leave it out"
        _check_count(f"queue {queue.name!r}: depth_max", queue.depth_max, DEPTH_MAX, advice)
    if queue.mode not in {"refuse", "warn"}:
        message = f"queue {queue.name!r}: mode={queue.mode!r} is neither: use 'refuse' or 'warn'"
        raise ConfigError(message)
    bounds = queue.bounds
    if bounds is None and queue.mode != "refuse":
        message = (
            f"queue {queue.name!r}: mode={queue.mode!r} has no bound to go by: add depth_max or "
            "age_max"
        )
        raise ConfigError(message)
    if bounds is not None and (bounds.age_max_ms or 0) >= queue.retention_ms:
        message = (
            f"queue {queue.name!r}: age_max={queue.age_max!r} is never reached: jobs are deleted "
            f"after retention={queue.retention!r}"
        )
        raise ConfigError(message)


def _check_weight(queue: str, weight: int) -> None:
    try:
        check_weight(weight)
    except InvalidOption as error:
        message = f"queue {queue!r}: {error}"
        raise ConfigError(message) from error.__cause__


def _check_rung(named: str, rung: str) -> None:
    if rung not in RUNGS:
        message = f"{named}rungs names {rung!r}, which is not a rung: use one of {', '.join(RUNGS)}"
        raise ConfigError(message)


def _option_ms(queue: str, option: str, value: Duration, least_ms: int) -> int:
    try:
        return to_ms(value, name=option, least_ms=least_ms)
    except InvalidOption as error:
        message = f"queue {queue!r}: {error}"
        raise ConfigError(message) from error.__cause__
