"""How long partitions stand still when a worker dies, a broker dies, or workers are replaced.

Three brokers, three workers, mixed jobs at a steady rate. What stood still is told by the rows'
append times, what ran by a ledger outside of Kafka; where the time went, by the workers' own log.
"""

from __future__ import annotations

import asyncio
import importlib
import itertools
import json
import os
import shutil
import sys
import threading
import time
from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, Self

from tests.bench.report import Figure
from tests.harness.fleet import Fleet
from tests.harness.stillness import Stillness
from tests.harness.trial import Trial
from tests.harness.waiting import wait_until

from jobstream.broker import EmbeddedKafka
from jobstream.errors import EnqueueError
from jobstream_schemas import parse_row

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from types import ModuleType

    from tests.bench.rig import Rig
    from tests.harness.fleet import Member

    from jobstream.testing.audit import Audit

RATE = 400
TURN_S = 0.05
BEFORE_S = 15.0
LOGS = Path(".cache/recovery")
"""Where the workers' logs stay for whoever wants to know more."""
NODES = 3
HEAP_MB = 384
WORKERS = 3
LIMIT_S = 180.0
BACK_GOAL_S, SHARE, SHARE_GOAL_S, OVER_S = 15.0, 0.8, 30.0, 5.0
SESSION_S = 6.0
"""How long the group waits for a member that says nothing, by default."""
NOTICED_S = 2.0
"""A gap shorter than that is chance: each partition gets eleven jobs a second."""


@dataclass(frozen=True, slots=True)
class Seen:
    """One fault: when it was done, and until when it was looked at; epoch milliseconds."""

    what: str
    at_ms: int
    until_ms: int
    cuts: bool
    """Whether a member had to be missed first."""


class Load:
    """Enqueues jobs of all types at RATE from a thread of its own, whatever the brokers do."""

    def __init__(self, shop: ModuleType) -> None:
        self._shop = shop
        self._over = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)
        self.ids: list[str] = []
        self.unknown = 0
        """Enqueues without an answer: written or not, nobody can tell."""

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Enqueue no more; blocks until all are answered."""
        self._over.set()
        self._thread.join()

    async def _run(self) -> None:
        began, n = time.monotonic(), 0
        async with asyncio.TaskGroup() as tasks:
            while not self._over.is_set():
                while n < (time.monotonic() - began) * RATE:
                    tasks.create_task(self._one(n))
                    n += 1
                await asyncio.sleep(TURN_S)

    async def _one(self, n: int) -> None:
        shop = self._shop
        job = shop.TYPES[n % len(shop.TYPES)]
        key = f"key-{n % shop.KEYS}" if job is shop.book else None
        try:
            done = await job.aenqueue(shop.Work(n, key or ""), key=key)
        except EnqueueError:
            self.unknown += 1
        else:
            self.ids.append(done.job_id)


def measure(rig: Rig) -> Iterator[Figure]:
    """One cluster and one fleet; one fault after the other, and a verdict on them all."""
    shutil.rmtree(LOGS, ignore_errors=True)
    with EmbeddedKafka(NODES, heap_mb=HEAP_MB) as kafka:
        env = {
            "JOBSTREAM_BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
            "JOBSTREAM_STATE_DIR": str(rig.folder / "recovery-state"),
            "JOBSTREAM_ENQUEUE_TIMEOUT": "30s",
            "JOBSTREAM_METRICS_PORT": "off",
            "RECOVERY_APP": "bench-recovery",
            "RECOVERY_FOLDER": str(rig.folder),
            "PYTHONPATH": os.pathsep.join(sys.path),
        }
        os.environ.update(env)
        shop = importlib.import_module("tests.bench.recovery_app")
        command = [sys.executable, "-m", "jobstream", "worker", "tests.bench.recovery_app:app"]
        command += ["--log-level", "debug"]  # tells each partition, and the phases of its take-over
        with Fleet(command, LOGS, env) as fleet, Stillness() as stillness:
            trial = Trial(shop.app, fleet, rig.folder / "ledger", stillness)
            yield from _broken(trial, kafka, Load(shop), float(rig.size(45, 30)))
        shop.app.close()


def _broken(trial: Trial, kafka: EmbeddedKafka, load: Load, after_s: float) -> Iterator[Figure]:
    """Break it under load, fault by fault; tell what was seen of each, and the verdict."""
    trial.create_topics()
    for _ in range(WORKERS):
        trial.fleet.start()
    seen: list[Seen] = []
    with load:
        places = len(trial.queue_places)
        wait_until(lambda: _served() >= places, "all is served", limit_s=LIMIT_S)
        for what, cuts, act in _faults(trial, kafka):
            _look(BEFORE_S)
            at_ms = _now_ms()
            act()
            _look(after_s)
            seen.append(Seen(what, at_ms, _now_ms(), cuts))
            _mend(trial, kafka)
    trial.wait_until_quiet(LIMIT_S)
    trial.fleet.drain_all()
    trial.fleet.note_losses()
    found = trial.audit(load.ids, hold_key=["book"])
    gone = Gone(trial)
    for each in seen:
        yield from gone.figures(each)
    yield _verdict(found, load)


def _faults(trial: Trial, kafka: EmbeddedKafka) -> Sequence[tuple[str, bool, Callable[[], None]]]:
    def kill() -> None:
        trial.fleet.kill(trial.fleet.alive[0])

    def kill_both() -> None:
        kill()
        kafka.kill(NODES)

    def roll() -> None:
        for member in list(trial.fleet.alive):
            new = trial.fleet.start()
            _wait_for(new)
            trial.fleet.drain(member)

    return [
        ("killed worker", True, kill),
        ("killed worker and broker", True, kill_both),
        ("rolling restart", False, roll),
    ]


def _mend(trial: Trial, kafka: EmbeddedKafka) -> None:
    if len(kafka.pids) < NODES:
        kafka.restart(NODES)
        kafka.wait_in_sync()
    while len(trial.fleet.alive) < WORKERS:
        _wait_for(trial.fleet.start())


def _wait_for(member: Member) -> None:
    """Block until it serves a partition."""
    wait_until(lambda: b"partition_served" in member.log.read_bytes(), "it serves", limit_s=LIMIT_S)


def _look(seconds: float) -> None:
    """Let the load go on; what happens meanwhile is read afterwards."""
    threading.Event().wait(seconds)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _events(name: str) -> Iterator[Mapping[str, Any]]:
    for path in sorted(LOGS.glob("*.log")):
        for line in path.read_text(errors="replace").splitlines():
            if f'"{name}"' in line and line.startswith("{"):
                yield json.loads(line)


def _served() -> int:
    return sum(1 for _ in _events("partition_served"))


class Gone:
    """What rows, ledger and logs tell of the run, read once it is over."""

    def __init__(self, trial: Trial) -> None:
        self._rows: dict[tuple[str, int], list[int]] = {}
        for plan in trial.app.plans().values():
            for partition in range(plan.partitions):
                place = (plan.dedup, partition)
                times = self._rows[place] = []
                for batch in trial.log.read(place, *trial.log.span(place)):
                    times += [r.timestamp()[1] for r in batch if _is_of_job(r)]
        self._ends = sorted(e.at_ms for e in trial.ledger if e.kind == "end")

    def figures(self, seen: Seen) -> Iterator[Figure]:
        """How long partitions stood, and when the rate was what it had been."""
        gaps = [self._gap(times, seen) for times in self._rows.values()]
        stood = [gap for gap in gaps if gap >= NOTICED_S]
        beside = f"{len(stood)} of {len(gaps)} partitions stood {NOTICED_S:g} s or more"
        if stood:
            beside += f", median {median(stood):.1f} s"
        lost = sum(
            len(numbers)
            for event in _events("partitions_lost")
            for numbers in event["partitions"].values()
            if seen.at_ms <= _ms(event["time"]) <= seen.until_ms
        )
        if lost:
            beside += f"; {lost} lost with the session of a worker that lived"
        goal_s = BACK_GOAL_S + (SESSION_S if seen.cuts else 0.0)
        what = f"{seen.what}: longest standstill of a partition"
        goal = f"≤ {goal_s:g} s"
        phases = self._phases(seen)
        yield Figure(what, max(gaps), "s", beside, goal, max(gaps) <= goal_s, phases)
        before = self._rate(seen.at_ms - int(BEFORE_S * 1_000), seen.at_ms)
        over_ms = int(OVER_S * 1_000)
        rates = {
            at: self._rate(at, at + over_ms)
            for at in range(seen.at_ms, seen.until_ms - over_ms, 500)
        }
        worst = min(rates, key=rates.__getitem__)
        fit = (at for at, rate in rates.items() if at >= worst and rate >= SHARE * before)
        taken = (next(fit, seen.until_ms) - seen.at_ms) / 1_000
        yield Figure(
            f"{seen.what}: {SHARE:.0%} of the rate before",
            taken,
            "s",
            f"{before:.0f} jobs/s before, lowest {rates[worst]:.0f} over {OVER_S:g} s",
            f"≤ {SHARE_GOAL_S:g} s",
            taken <= SHARE_GOAL_S,
        )

    @staticmethod
    def _gap(times: Sequence[int], seen: Seen) -> float:
        """The longest time without a row, in seconds."""
        inside = [t for t in times if seen.at_ms - 2_000 <= t <= seen.until_ms]
        return max(b - a for a, b in itertools.pairwise([*inside, seen.until_ms])) / 1_000

    def _rate(self, low: int, high: int) -> float:
        return sum(low <= at < high for at in self._ends) / (high - low) * 1_000

    def _phases(self, seen: Seen) -> str:
        """Median and longest by phase, of the take-overs after it."""
        found: dict[str, list[float]] = defaultdict(list)
        for event in _events("partition_served"):
            at_ms = _ms(event["time"])
            if seen.at_ms <= at_ms <= seen.until_ms:
                for phase, seconds in event["phases"].items():
                    found[phase].append(seconds)
        parts = (f"{p} {median(v):.2f}/{max(v):.2f}" for p, v in found.items())
        return f"seconds by phase, median/longest: {', '.join(parts)}" if found else ""


def _is_of_job(record: Any) -> bool:  # noqa: ANN401  # a record of the client
    return parse_row(record.key() or b"", record.value() or b"").kind != "claim"


def _ms(stamp: str) -> int:
    return int(datetime.fromisoformat(stamp).timestamp() * 1_000)


def _verdict(found: Audit, load: Load) -> Figure:
    wrong = found.lost + found.doubled + found.order_violations
    return Figure(
        "recovery: lost, doubled or out of order",
        wrong,
        "",
        f"{found.enqueued:,} jobs, {found.reruns} run again, {load.unknown} enqueues unanswered",
        "0",
        wrong == 0,
        "; ".join(found.findings[:5]),
    )
