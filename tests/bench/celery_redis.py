"""The no-op job on Celery with Redis, acknowledged late: one process, its pools and prefetches."""

from __future__ import annotations

import importlib.util
import os
import shutil
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Self

from tests.bench.noop import OURS
from tests.bench.report import Figure, not_measured
from tests.bench.rig import ROOT, ChildFailed

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import redis
    from tests.bench.rig import Rig

WHAT = "settled no-op, Celery on Redis"
BEST = f"{WHAT}, best way"
GOAL = 50
"""How many times as many jobs are to be settled here."""
WAYS = (("solo", 4), ("prefork", 4), ("prefork", 128), ("threads", 128))
"""Pool and prefetch multiplier, each with one worker process or thread."""
LIMIT_S = 120.0
LOOK_S = 0.01


def measure(rig: Rig) -> Iterator[Figure]:
    """Every way in turn; the best one comes last."""
    reason = _missing()
    if reason:
        yield not_measured(WHAT, reason)
        return
    count = rig.size(5_000, 1_000)
    best = 0.0
    with Redis(rig.folder) as server:
        for pool, prefetch in WAYS:
            rate = _rate(rig, server, count, pool, prefetch)
            best = max(best, rate)
            yield Figure(f"{WHAT}, {pool}, prefetch {prefetch}", rate, "jobs/s")
    yield Figure(BEST, best, "jobs/s", note="acks_late, no results, one process")


def compared(figures: Sequence[Figure]) -> list[Figure]:
    """Our no-op jobs against Celery's, where both were measured in this run."""
    rates = {figure.what: figure.value for figure in figures}
    ours, celery = rates.get(OURS), rates.get(BEST)
    if not ours or not celery:
        return []
    times = ours / celery
    what, goal = "settled no-op, async, against Celery", f"≥ {GOAL} x"
    return [Figure(what, times, "x", f"{ours:,.0f} / {celery:,.0f}", goal, times >= GOAL)]


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


def _rate(rig: Rig, server: Redis, count: int, pool: str, prefetch: int) -> float:
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
        return _drained(server, count)
    finally:
        worker.terminate()
        try:
            worker.wait(20.0)
        except subprocess.TimeoutExpired:
            worker.kill()
            worker.wait()


def _drained(server: Redis, count: int) -> float:
    """Jobs a second, from the first one acknowledged to the last."""
    deadline = time.monotonic() + LIMIT_S
    first: tuple[float, int] | None = None
    while (left := server.left()) > 0:
        if first is None and left < count:
            first = time.perf_counter(), left
        if time.monotonic() > deadline:
            message = f"Celery left {left} of {count} jobs after {LIMIT_S:g} s"
            raise ChildFailed(message)
        time.sleep(LOOK_S)
    if first is None:
        message = f"{count} jobs are too few to measure Celery with"
        raise ChildFailed(message)
    return first[1] / (time.perf_counter() - first[0])
