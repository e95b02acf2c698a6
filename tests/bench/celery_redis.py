"""The no-op job on Celery with Redis, acknowledged late: one process, its pools and prefetches."""

from __future__ import annotations

import importlib.util
import os
import shutil
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Self

from tests.bench.report import Figure, not_measured
from tests.bench.rig import ROOT, ChildFailed
from tests.bench.usage import cpu_with_children

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import redis
    from tests.bench.rig import Rig

WHAT = "settled no-op, Celery on Redis"
GOAL = 100
"""How many times as many jobs are to be settled by the compiled build."""
WAYS = (("solo", 4), ("prefork", 4), ("prefork", 128), ("threads", 128))
"""Pool and prefetch multiplier, each with one worker process or thread."""
LIMIT_S = 120.0
LOOK_S = 0.01


@dataclass(frozen=True, slots=True)
class Settled:
    """What one worker did, and what its processes used for that."""

    rate: float
    cpu_us: float
    """A job."""


def measure(rig: Rig) -> Iterator[Figure]:
    """Three rounds (one if quick): every way and ours in turn; the best way of a round counts."""
    reason = _missing()
    if reason:
        yield not_measured(WHAT, reason)
        return
    ours: list[Settled] = []
    ways: dict[tuple[str, int], list[Settled]] = {way: [] for way in WAYS}
    with Redis(rig.folder) as server:
        for number in range(rig.size(3, 1)):
            if number % 2 == 0:
                ours.append(_ours(rig, number))
            for way, found in ways.items():
                found.append(_celery(rig, server, *way))
            if number % 2:
                ours.append(_ours(rig, number))
    for (pool, prefetch), found in ways.items():
        yield _figure(f"{WHAT}, {pool}, prefetch {prefetch}", found)
    yield _figure("settled no-op, async, beside Celery", ours)
    best = [max(found, key=_rate) for found in zip(*ways.values(), strict=True)]
    rates = [mine.rate / theirs.rate for mine, theirs in zip(ours, best, strict=True)]
    used = [theirs.cpu_us / mine.cpu_us for mine, theirs in zip(ours, best, strict=True)]
    yield Figure(
        "settled no-op, async, against the best way of Celery",
        median(rates),
        "x",
        f"rounds: {_every(rates)}; CPU a job 1 / {median(used):.0f} (rounds: {_every(used)})",
        f"≥ {GOAL} x, compiled",
        median(rates) >= GOAL,
    )


def _ours(rig: Rig, number: int) -> Settled:
    count = rig.size(200_000, 60_000)
    bench = rig.filled(f"celery-{number}", "async", count)
    report = rig.work(bench, count)
    rig.drop(bench)
    return Settled(report.jobs / report.seconds, sum(report.cpu.values()) / report.jobs * 1e6)


def _figure(what: str, found: Sequence[Settled]) -> Figure:
    used = f"CPU {median(each.cpu_us for each in found):,.1f} µs/job"
    every = ", ".join(f"{each.rate:,.0f}" for each in found)
    return Figure(what, median(map(_rate, found)), "jobs/s", f"rounds: {every}", note=used)


def _rate(settled: Settled) -> float:
    return settled.rate


def _every(ratios: Sequence[float]) -> str:
    return ", ".join(f"{ratio:.0f}" for ratio in ratios)


def _missing() -> str:
    if shutil.which("redis-server") is None:
        return "no redis-server on the PATH"
    absent = [name for name in ("celery", "redis") if importlib.util.find_spec(name) is None]
    return f"not installed: {', '.join(absent)} (pip install --group bench)" if absent else ""


class Redis:
    """A Redis without a disk, on a free port of this machine; ended with the block."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port: int = probe.getsockname()[1]
        self.url = f"redis://127.0.0.1:{self._port}/0"
        self.client: redis.Redis

    def __enter__(self) -> Self:
        import redis  # noqa: PLC0415 - only where it is installed

        options = ["--port", str(self._port), "--bind", "127.0.0.1", "--save", ""]
        with (self._folder / "redis.log").open("wb") as log:
            self._process = subprocess.Popen(
                ["redis-server", *options, "--appendonly", "no"],  # noqa: S607 - found by `which`
                cwd=self._folder,
                stdout=log,
                stderr=log,
            )
        self.client = redis.Redis.from_url(self.url)
        deadline = time.monotonic() + 10.0
        while True:
            try:
                self.client.ping()
            except redis.ConnectionError:
                if time.monotonic() > deadline:
                    self.__exit__()
                    raise
                time.sleep(LOOK_S)
            else:
                return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(10.0)

    def left(self) -> int:
        """Jobs that wait or are not acknowledged yet."""
        waiting, unacknowledged = self.client.llen("celery"), self.client.hlen("unacked")
        return int(waiting) + int(unacknowledged)


def _celery(rig: Rig, server: Redis, pool: str, prefetch: int) -> Settled:
    count = rig.size(5_000, 1_000)
    server.client.flushall()
    env = {**os.environ, "BENCH_REDIS_URL": server.url, "BENCH_PREFETCH": str(prefetch)}
    fill = [sys.executable, "-m", "tests.bench.celery_app", str(count)]
    subprocess.run(fill, cwd=ROOT, env=env, check=True, timeout=LIMIT_S)
    command = [sys.executable, "-m", "celery", "-A", "tests.bench.celery_app", "worker"]
    command += ["-P", pool, "-c", "1", "-l", "ERROR"]
    command += ["--without-gossip", "--without-mingle", "--without-heartbeat"]
    with (rig.folder / "celery.log").open("ab") as log:
        worker = subprocess.Popen(
            command, cwd=ROOT, env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
    try:
        return _drained(server, count, worker.pid)
    finally:
        worker.terminate()
        try:
            worker.wait(20.0)
        except subprocess.TimeoutExpired:
            worker.kill()
            worker.wait()


def _drained(server: Redis, count: int, pid: int) -> Settled:
    """From the first job acknowledged to the last."""
    deadline = time.monotonic() + LIMIT_S
    first: tuple[float, int, float] | None = None
    while (left := server.left()) > 0:
        if first is None and left < count:
            first = time.perf_counter(), left, cpu_with_children(pid)
        if time.monotonic() > deadline:
            message = f"Celery left {left} of {count} jobs after {LIMIT_S:g} s"
            raise ChildFailed(message)
        time.sleep(LOOK_S)
    if first is None:
        message = f"{count} jobs are too few to measure Celery with"
        raise ChildFailed(message)
    began, jobs, used = first
    took_s, used_s = time.perf_counter() - began, cpu_with_children(pid) - used
    return Settled(jobs / took_s, used_s / jobs * 1e6)
