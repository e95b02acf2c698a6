"""What a worker keeps in memory: part by part, by partitions, in a burst and after it.

The worker is the command that users run; it is looked at from outside, in /proc.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tests.bench.jobs import Note
from tests.bench.report import Figure, not_measured
from tests.bench.rig import ROOT
from tests.bench.usage import held_mb

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.bench.jobs import Bench
    from tests.bench.rig import Rig

BURST_BYTES = 3_000
LIMIT_S = 300.0
SETTLES_S = 3.0
GIVEN_BACK_S = 70.0
"""Memory goes back within two looks of half a minute."""
PARTITIONS = 12, 60
CHILDREN = 2
PARTS = {
    "the interpreter": "",
    "and the client": "import jobstream.enqueue.client, jobstream.kafka.produce.producer",
    "and the worker": "import jobstream.roles.process",
}
NAP = threading.Event()


def measure(rig: Rig) -> Iterator[Figure]:
    """RSS, with PSS beside it, of processes at rest and at work."""
    if not Path("/proc/self/smaps_rollup").exists():
        yield not_measured("memory of a worker", "no /proc/self/smaps_rollup here")
        return
    for what, code in PARTS.items():
        yield _figure(f"imported: {what}", *_imported(code))
    idle = []
    for partitions in PARTITIONS:
        bench = rig.bench(f"footprint-{partitions}", partitions)
        with _worker(rig, bench, partitions) as pid:
            held = held_mb(pid)
        idle.append(held[0])
        yield _figure(f"idle worker, {partitions} partitions", *held)
        rig.drop(bench)
    each = (idle[1] - idle[0]) / (PARTITIONS[1] - PARTITIONS[0])
    yield Figure("each open partition", each, "MB RSS")
    yield from _burst(rig)


def _figure(what: str, rss: float, pss: float) -> Figure:
    return Figure(what, rss, "MB RSS", f"{pss:.0f} MB PSS")


def _imported(code: str) -> tuple[float, float]:
    argv = [sys.executable, "-c", f"{code}\nprint(flush=True); input()"]
    with subprocess.Popen(argv, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        held = held_mb(process.pid)
        process.communicate(b"\n")
    return held


def _burst(rig: Rig) -> Iterator[Figure]:
    partitions, count = PARTITIONS[0], rig.size(40_000, 20_000)
    bench = rig.bench("footprint-burst", partitions)
    text = "x" * BURST_BYTES
    what = f"{count:,} jobs of {BURST_BYTES / 1_000:g} KB"
    with _worker(rig, bench, partitions) as pid:
        for number in range(1, 3):
            bench.types["async"].enqueue_many([Note(n, text) for n in range(count)])
            peak = _until(lambda n=number: rig.committed(bench) >= n * count, pid)  # type: ignore[misc] # mypy knows no default of a lambda
            yield Figure(f"burst {number}, {what}", peak, "MB RSS", "the most that was seen")
            yield _figure(f"after burst {number}, at once", *held_mb(pid))
            NAP.wait(GIVEN_BACK_S)
            yield _figure(f"after burst {number}, {GIVEN_BACK_S:.0f} s later", *held_mb(pid))
        bench.types["process"].enqueue_many([Note(n, "hello") for n in range(100)])
        _until(lambda: rig.committed(bench) >= 2 * count + 100, pid)
        each = [held_mb(child) for child in _children(pid)]
        rss, pss = (sum(values) / len(each) for values in zip(*each, strict=True))
        yield _figure(f"each child process, mean of {len(each)}", rss, pss)
    rig.drop(bench)


def _children(pid: int) -> list[int]:
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return [int(child) for task in tasks for child in (task / "children").read_text().split()]


def _until(condition: Callable[[], bool], pid: int) -> float:
    """Wait for that; returns the most memory that the process had meanwhile."""
    most, deadline = 0.0, time.monotonic() + LIMIT_S
    while not condition():
        if time.monotonic() > deadline:
            message = f"the worker did not come so far within {LIMIT_S:.0f} s"
            raise TimeoutError(message)
        for _ in range(5):
            most = max(most, held_mb(pid)[0])
            NAP.wait(0.05)
    return most


@contextmanager
def _worker(rig: Rig, bench: Bench, partitions: int) -> Iterator[int]:
    """A worker that serves all partitions and has done nothing yet: its process id."""
    log = rig.folder / f"{bench.app.name}.log"
    env = {
        **os.environ,
        "FOOTPRINT_APP": bench.app.name,
        "FOOTPRINT_PARTITIONS": str(partitions),
        "JOBSTREAM_CHILDREN": str(CHILDREN),
    }
    argv = [sys.executable, "-m", "jobstream", "worker", "tests.bench.footprint_app:app"]
    argv += ["--log-level", "debug"]  # tells each partition by itself
    with log.open("wb") as out:
        process = subprocess.Popen(argv, cwd=ROOT, env=env, stdout=out, stderr=out)
    try:
        _until(lambda: log.read_text().count("partition_served") >= partitions, process.pid)
        NAP.wait(SETTLES_S)
        yield process.pid
    finally:
        process.terminate()
        process.wait(LIMIT_S)
