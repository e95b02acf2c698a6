"""How a worker and its partitions stand, for those who look from outside. It changes nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from jobstream_processors.assignment.lane import Lane
from jobstream_processors.core.breaker_guard import BreakerFacts
from jobstream_processors.core.deaths import FLOOD
from jobstream_processors.core.orders import NOTHING, QUIET, Order, Orders, is_meant
from jobstream_processors.core.who_waits import Waiters, WaitingJob
from jobstream_processors.ports import TopicPartition

if TYPE_CHECKING:
    from jobstream_processors.assignment.lane import Arrival
    from jobstream_processors.delivery import Delivery


@dataclass(frozen=True, slots=True)
class LaneFacts:
    """How one assigned partition stands, for those who look from outside."""

    queue: str
    source: TopicPartition
    serving: bool
    """Restored, and jobs of it run."""
    refused: bool
    """Nothing more of it is taken up until an operator has decided."""
    unfinished: int
    """Records taken and not finished."""
    gap: int
    """Records finished above the watermark."""
    paused: tuple[str, ...]
    """The reasons for which nothing of it is fetched now."""
    guarded: bool
    """Its flood guard is closed."""
    rows: int
    """About how many rows its table holds."""

    @property
    def restoring(self) -> bool:
        """It is to be served, and its table is not there yet."""
        return not self.serving and not self.refused


@dataclass(frozen=True, slots=True)
class RunningJob:
    """A handler that runs now."""

    queue: str
    job_type: str
    job_id: str
    attempt: int
    seconds: float
    stuck: bool
    """It is past its time limit and still holds its slot."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What a worker is doing, for those who look from outside."""

    lanes: tuple[LaneFacts, ...]
    runs: tuple[RunningJob, ...]
    concurrency: int
    ticked_s: float
    """Seconds since its event loop last came round."""
    leaving: bool
    stepping: str = ""
    """The job type whose handler has the event loop; "" if none has."""
    orders: Orders = NOTHING
    """What operators told the workers, since nothing starts here any more that is against it."""
    kept: Mapping[TopicPartition, Sequence[str]] = field(default_factory=dict)
    """By which gates jobs of each partition do not begin, where there are such jobs."""
    breakers: tuple[BreakerFacts, ...] = ()
    """How each breaker stands here that a job type declares."""
    waiting: Mapping[tuple[str, str], Waiters] = field(default_factory=dict)
    """(queue, reason) → jobs that wait in memory, as counted about a second ago."""
    waiting_jobs: Sequence[WaitingJob] = ()
    """Some of those."""
    broker_ms: int = 0
    """Broker time at this moment."""

    def waits_s(self, waiters: Waiters) -> float:
        """For how long the first of them has waited."""
        return max(0, self.broker_ms - waiters.since_ms) / 1_000 if waiters.jobs else 0.0

    def obeyed(self, worker: str) -> list[Order]:
        """The pauses and held breakers in the worker of that name, and what keeps it from jobs.

        That holds as soon as nothing is fetched for any partition that it serves.
        """
        orders = self.orders
        fetches = any(QUIET not in lane.paused for lane in self.lanes if lane.serving)
        quiets = () if fetches else orders.quiets
        return [
            *orders.queues.values(),
            *orders.types.values(),
            *orders.breakers.values(),
            *(entry for entry in quiets if is_meant(entry.subject, worker)),
        ]

    def under_way(self, seconds: float) -> list[str]:
        """Job types of handlers that have run for so long, each once."""
        return sorted({run.job_type for run in self.runs if run.seconds >= seconds})


def run_of(delivery: Delivery, job_type: str, seconds: float) -> RunningJob:
    """The facts of a delivery whose handler has run for so long."""
    return RunningJob(
        queue=delivery.lane.queue,
        job_type=job_type,
        job_id=delivery.id,
        attempt=delivery.carried.attempt,
        seconds=seconds,
        stuck=delivery.outlived,
    )


def facts_of(each: Arrival | Lane, paused: Sequence[str]) -> LaneFacts:
    """The facts of a partition that is paused for these reasons."""
    lane = each if isinstance(each, Lane) else None
    return LaneFacts(
        queue=each.queue,
        source=each.source,
        serving=lane is not None and not each.refused,
        unfinished=lane.unfinished if lane is not None else 0,
        gap=lane.gap if lane is not None else 0,
        refused=bool(each.refused),
        paused=(each.refusal,) if each.refused else tuple(sorted(paused)),
        guarded=lane is not None and FLOOD in lane.shut,
        rows=lane.shard.rows() if lane is not None else 0,
    )
