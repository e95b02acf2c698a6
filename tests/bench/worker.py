"""A worker process under measurement: runs jobs until it has settled what it was told, and reports.

Run as `python -m tests.bench.worker '{"app": …}'`; the report is one line of JSON on its output. It
looks into the worker at counters that are no API: a meter of its own would cost what it measures.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import threading
import time
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.bench import jobs
from tests.bench.usage import (
    core_waits_by_thread,
    core_waits_since,
    cpu_by_thread,
    cpu_since,
    peak_resident_mb,
    resident_mb,
)

from jobstream.roles import worker_role
from jobstream.roles.process import Roles

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jobstream_processors.assembly import Parts
    from jobstream_processors.assignment.lane import Lane

LOOK_S = 0.005


@dataclass(frozen=True, slots=True)
class Task:
    """What the process is to do."""

    app: str
    partitions: int
    count: int
    """Leave when so many jobs are finished."""
    limit_s: float = 300.0
    """Leave then, whatever is finished."""
    metered: bool = True
    """Whether the worker counts its jobs."""
    together: str = ""
    """A folder: each worker that is done writes a file there, and stays while `leave` is not."""
    queues: int = 1
    slim: bool = False
    served: int = 0
    """Begin to measure when so many partitions are served; 0: when the first job is taken."""


@dataclass(slots=True)
class Report:
    """What it did, from the first job taken to the last one finished."""

    jobs: int = 0
    seconds: float = 0.0
    served_s: float = 0.0
    """From its first line to when so many partitions were served as were asked for."""
    cpu: dict[str, float] = field(default_factory=dict)
    waited: dict[str, float] = field(default_factory=dict)
    """Seconds in which threads could have run and others had the cores."""
    cpu_children: float = 0.0
    """Seconds on a CPU of child processes, their start included."""
    resident_mb: list[float] = field(default_factory=list)
    """Memory, looked at ten times a second."""
    peak_mb: float = 0.0
    starts: list[tuple[int, int, int]] = field(default_factory=list)
    """See `jobs.STARTS`."""


class Uncounted(worker_role.WorkerRole):
    """A worker without a meter, to be measured beside one that has it."""

    def _parts(self, *args: Any) -> Parts:  # noqa: ANN401 - passed on
        return replace(super()._parts(*args), meter=None)


class Meter:
    """Watches a worker from a thread of its own; stops it when its task is done."""

    def __init__(self, roles: Roles, task: Task) -> None:
        self._roles = roles
        self._task = task
        self._pause = threading.Event()
        self._began = time.perf_counter()
        self.report = Report()

    def run(self) -> None:
        """Watch until the task is done, then tell the worker to drain and leave."""
        try:
            deadline = time.monotonic() + self._task.limit_s
            self._measure(deadline)
            if self._task.together:
                self._stay(Path(self._task.together), deadline)
        finally:
            self._roles.stop()

    def _stay(self, folder: Path, deadline: float) -> None:
        """Leave no partitions to those that are still measured."""
        (folder / f"done-{os.getpid()}").touch()
        while not (folder / "leave").exists() and time.monotonic() < deadline:
            self._pause.wait(LOOK_S)

    def _measure(self, deadline: float) -> None:
        report, memory_at = self.report, 0.0
        while not self._counted()[0] and time.monotonic() < deadline:
            self._pause.wait(LOOK_S)
        while len(self._lanes()) < self._task.served and time.monotonic() < deadline:
            self._pause.wait(LOOK_S)
        started, cpu, waits = time.perf_counter(), cpu_by_thread(), core_waits_by_thread()
        before = self._counted()[1] if self._task.served else 0
        report.served_s = started - self._began
        while (finished := self._counted()[1]) < self._task.count:
            now = time.monotonic()
            if now >= deadline:
                break
            if now >= memory_at:
                memory_at = now + 0.1
                report.resident_mb.append(resident_mb())
            self._pause.wait(LOOK_S)
        report.seconds = time.perf_counter() - started
        report.jobs = finished - before
        report.cpu, report.waited = cpu_since(cpu), core_waits_since(waits)

    def _lanes(self) -> Sequence[Lane]:
        """The partitions that are served."""
        worker = self._roles._observed.worker  # noqa: SLF001 - no API, see above
        return () if worker is None else worker.joined.feed.served()

    def _counted(self) -> tuple[int, int]:
        """Records taken and finished so far."""
        lanes = self._lanes()
        return sum(lane.handed for lane in lanes), sum(lane.returned for lane in lanes)


def main() -> None:
    """Run the task given as JSON in the first argument."""
    task = Task(**json.loads(sys.argv[1]))
    bench = jobs.Bench(task.app, task.partitions, task.queues, slim=task.slim)
    if not task.metered:
        worker_role.ROLE = Uncounted
    roles = Roles(bench.app, [queue.name for queue in bench.queues])
    meter = Meter(roles, task)
    threading.Thread(target=meter.run, name="bench-meter", daemon=True).start()
    roles.run()
    report = meter.report
    report.peak_mb = peak_resident_mb()
    report.starts = jobs.STARTS
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    report.cpu_children = children.ru_utime + children.ru_stime
    print(json.dumps(asdict(report)), flush=True)


if __name__ == "__main__":
    main()
