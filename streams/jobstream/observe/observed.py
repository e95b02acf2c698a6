"""All that is seen of one process that takes roles: its collectors, its probes, its status.

The composition root makes one, hands its meters to the parts that count, and tells it of those
parts once they exist.
"""

from __future__ import annotations

import logging
import os
import socket
import time
from heapq import nlargest
from typing import TYPE_CHECKING

from jobstream.observe import worker_health as health
from jobstream.observe.groups_metrics import DelayCollector, GroupsCollector
from jobstream.observe.health import Probes
from jobstream.observe.job_families import JobsCollector, TablesCollector, WorkerCollector
from jobstream.observe.kafka_metrics import ClientStats
from jobstream.observe.metrics.metric import EDGES
from jobstream.observe.schedule_metrics import DeclaredCollector, ScheduleCollector
from jobstream.topics.names import delay_group, schedule_group, worker_group
from jobstream_processors.assignment.assignment_log import by_topic
from jobstream_processors.delay.delay_meter import DelayMeter
from jobstream_processors.meter import Meter
from jobstream_processors.schedule.schedule_meter import ScheduleMeter

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from prometheus_client.registry import Collector

    from jobstream_processors.delay.delayer import Delayer
    from jobstream_processors.job_types import JobSpec
    from jobstream_processors.ports import TopicPartition
    from jobstream_processors.queue_plan import QueuePlan
    from jobstream_processors.turn_meter import TurnMeter
    from jobstream_processors.watch.standing import RunningJob, Standing
    from jobstream_processors.worker import Worker

log = logging.getLogger("jobstream.table")

WORKER, DELAYER, SCHEDULER, SINK = "worker", "delayer", "scheduler", "sink"
"""Three roles, which are the names of their consumers' statistics as well, and the producer's."""
RESTORING_EVERY_S = 5.0
"""How often the log tells of tables that are being restored."""

RUNS_TOLD_MAX = 1_000
"""Runs that a status has one by one, the longest: an answer has to stay small."""


def worker_name() -> str:
    """`host:pid` of this process: how operators tell it to be quiet."""
    return f"{socket.gethostname()}:{os.getpid()}"


class Observed:
    """One process, as others see it. Every method may be called from any thread."""

    def __init__(
        self,
        app: str,
        roles: Sequence[str],
        plans: Mapping[str, QueuePlan],
        specs: Mapping[str, JobSpec],
        drain_s: float,
    ) -> None:
        self.stats = ClientStats()
        self.meter = Meter(worker_group(app), plans, specs, EDGES) if WORKER in roles else None
        self.delays = DelayMeter(delay_group(app), plans, EDGES) if DELAYER in roles else None
        self.ticks = ScheduleMeter(schedule_group(app), EDGES) if SCHEDULER in roles else None
        self.role = roles[0]
        """Name of the process's role; a process with several roles has the first."""
        self.worker: Worker | None = None
        self.tables_use: Callable[[], int] = int
        """Bytes that the dedup tables of this process have in memory; 0 before there are any."""
        self.delayer: Delayer | None = None
        self.verified = False
        """The topics were found to be as declared."""
        self.leaving = False
        self.has_schedules = False
        """Schedules are fired here; their role has nothing to do where the app has none."""
        self.declared = 0
        """Schedules that the code declares, also where another process fires them."""
        self._drain_s = drain_s
        self._restoring: dict[TopicPartition, tuple[int, int]] = {}
        self._tell_after = 0.0

    def collectors(self) -> list[Collector]:
        """Everything to be scraped here."""
        turns = [turn for _, turn in self._turns()]
        found: list[Collector] = [GroupsCollector(turns), self.stats]
        if self.meter is not None:
            found += [
                JobsCollector(self.meter),
                WorkerCollector(self.meter, self._standing),
                TablesCollector(self._tables_use),
                DeclaredCollector(self.declared),
            ]
        if self.delays is not None:
            found.append(DelayCollector(self.delays, self._held))
        if self.ticks is not None:
            found.append(ScheduleCollector(self.ticks))
        return found

    def probes(self) -> Probes:
        """The answers of this process, each from facts of the moment it is asked."""
        return Probes(
            live=lambda: health.live(self._facts()),
            ready=lambda: health.ready(self._facts()),
            started=lambda: health.started(self._facts()),
            status=self._status,
        )

    def progress(self, partition: TopicPartition, rows: int, remaining: int) -> None:
        """A dedup table that is being restored got so far."""
        if remaining:
            self._restoring[partition] = (rows, remaining)
            self._tell_restoring()
        else:
            self._restoring.pop(partition, None)

    def _tell_restoring(self) -> None:
        """All tables in one line now and then: each of them comes here once a second."""
        now = time.monotonic()
        if now < self._tell_after:
            return
        self._tell_after = now + RESTORING_EVERY_S
        going = dict(self._restoring)
        told = {
            "partitions": by_topic(going),
            "rows": sum(rows for rows, _ in going.values()),
            "remaining": sum(remaining for _, remaining in going.values()),
        }
        log.info("tables_restoring", extra=told)

    def turn(self, client: str) -> TurnMeter | None:
        """Of the thread that polls through that client; None if the role is not taken here."""
        return dict(self._turns()).get(client)

    def _turns(self) -> list[tuple[str, TurnMeter]]:
        found = []
        if self.meter is not None:
            found.append((WORKER, self.meter.turn))
        if self.delays is not None:
            found.append((DELAYER, self.delays.turn))
        if self.ticks is not None and self.has_schedules:
            found.append((SCHEDULER, self.ticks.turn))
        return found

    def _standing(self) -> Standing | None:
        return self.worker.standing() if self.worker is not None else None

    def _tables_use(self) -> int:
        return self.tables_use()

    def _held(self) -> Mapping[tuple[str, str], int]:
        return self.delayer.held() if self.delayer is not None else {}

    def _facts(self) -> health.ProcessFacts:
        standing = self._standing()
        lanes = standing.lanes if standing is not None else ()
        return health.ProcessFacts(
            verified=self.verified,
            ticked_s=standing.ticked_s if standing is not None else None,
            stepping=standing.stepping if standing is not None else "",
            turns=tuple(self._turn_facts(client, turn) for client, turn in self._turns()),
            restoring=sum(lane.restoring for lane in lanes),
            silent_s=self.stats.silent_s(),
            up_s=self.stats.up_s(),
            leaving=self.leaving or (standing is not None and standing.leaving),
            drain_s=self._drain_s,
        )

    def _turn_facts(self, client: str, turn: TurnMeter) -> health.TurnFacts:
        # The phase first: one that ends in between would leave its long turn without an excuse.
        phase = turn.phase
        return health.TurnFacts(
            group=turn.group,
            turned_s=time.perf_counter() - turn.turned if turn.polled_at else None,
            phase=phase,
            joined=turn.changes["assigned"] > 0 or self.stats.has_joined(client),
        )

    def _status(self) -> dict[str, object]:
        """What `/status` tells: plain values."""
        told: dict[str, object] = {}
        if self.meter is not None:
            told["worker"] = worker_name()
        if self.delays is not None:
            held = self._held().items()
            told["held"] = [{"queue": q, "rung": r, "records": n} for (q, r), n in held if n]
        if self.ticks is not None and self.has_schedules:
            told["schedules"] = _schedules(self.ticks)
        standing = self._standing()
        if standing is None:
            return told
        lanes = standing.lanes
        longest = nlargest(RUNS_TOLD_MAX, standing.runs, key=lambda run: run.seconds)
        oldest = longest[0] if longest else None
        return told | {
            "partitions": len(lanes),
            "in_flight": sum(lane.unfinished for lane in lanes),
            "running": len(standing.runs),
            "concurrency": standing.concurrency,
            "stuck": sum(run.stuck for run in standing.runs),
            "oldest": None
            if oldest is None
            else {"queue": oldest.queue, "job": oldest.job_type, "seconds": oldest.seconds},
            "runs": [_told(run) for run in longest],
            "restoring": [
                {"partition": _named(place), "rows": rows, "remaining": remaining}
                for place, (rows, remaining) in list(self._restoring.items())
            ],
            "not_serving": [_named(lane.source) for lane in lanes if lane.restoring],
            "paused": [
                {"partition": _named(lane.source), "reasons": list(lane.paused)}
                for lane in lanes
                if lane.paused
            ],
            "orders": [
                {"kind": entry.kind, "subject": entry.subject}
                for entry in standing.obeyed(worker_name())
            ],
            "waits": [
                {"partition": _named(source), "reasons": list(reasons)}
                for source, reasons in standing.kept.items()
            ],
            "waiting": [
                {"queue": at[0], "for": at[1], "jobs": n.jobs, "seconds": standing.waits_s(n)}
                for at, n in sorted(standing.waiting.items())
                if n.jobs
            ],
            "waiting_jobs": [
                {"id": each.job_id, "for": each.reason, "since_ms": each.since_ms}
                for each in standing.waiting_jobs
            ],
            "guarded": [_named(lane.source) for lane in lanes if lane.guarded],
            "breakers": [
                {
                    "name": each.name,
                    "state": each.state.name.lower(),
                    "until_ms": each.until_ms,
                    "held": each.held,
                }
                for each in standing.breakers
            ],
            "leaving": standing.leaving,
        }


def _schedules(ticks: ScheduleMeter) -> dict[str, object]:
    now = ticks.now
    return {
        "owned": ticks.owned,
        "paused": now.paused,
        "paused_names": list(now.paused_names),
        "broken": [
            {"name": name, "why": kind, "reason": reason} for name, kind, reason in now.broken
        ],
        "next_ms": now.next_ms,
    }


def _told(run: RunningJob) -> dict[str, object]:
    return {
        "id": run.job_id,
        "queue": run.queue,
        "job": run.job_type,
        "attempt": run.attempt,
        "seconds": run.seconds,
    }


def _named(partition: TopicPartition) -> str:
    return f"{partition[0]}:{partition[1]}"
