"""A queue as an app declares it: its name, its size and how long its records live. Plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

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
from jobstream_processors.errors import InvalidOption
from jobstream_processors.queue_plan import QueuePlan

PARTITIONS = 12
PARTITIONS_MAX = 10_000
LIFE_MS_MIN = 60_000
"""Retention and dedup window below a minute are shorter than an ordinary rebalance."""
SLO_MS_MIN = 1_000
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

    def __post_init__(self) -> None:
        """Refuse a bad name, count or duration; keep `rungs` from changing later."""
        _check_queue_name(self.name)
        _check_count("partitions", self.partitions, PARTITIONS_MAX, "use 4 or 12, or one per core")
        for option in ("retention", "dedup"):
            _option_ms(self.name, option, getattr(self, option), LIFE_MS_MIN)
        for rung, partitions in (self.rungs or _NO_RUNGS).items():
            _check_rung(rung)
            advice = f"a rung has at most the queue's {self.partitions}"
            _check_count(f"rungs[{rung!r}]", partitions, self.partitions, advice)
        _option_ms(self.name, "slo", self.slo, SLO_MS_MIN)
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


def _check_rung(rung: str) -> None:
    if rung not in RUNGS:
        message = f"rungs names {rung!r}, which is not a rung: use one of {', '.join(RUNGS)}"
        raise ConfigError(message)


def _option_ms(queue: str, option: str, value: Duration, least_ms: int) -> int:
    try:
        return to_ms(value, name=option, least_ms=least_ms)
    except InvalidOption as error:
        message = f"queue {queue!r}: {error}"
        raise ConfigError(message) from error
