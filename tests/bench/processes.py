"""Several worker processes of one app on one machine: what a job costs each of them.

Their rate says little where the broker shares the cores with them, so the broker's share stands
beside it. A pause holds the jobs until every process has its partitions.
"""

from __future__ import annotations

import os
import time
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from tests.bench.report import Figure, not_measured
from tests.bench.usage import cpu_of
from tests.harness.waiting import wait_until

from jobstream.topics.names import worker_group

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.bench.rig import Rig

AT_ONCE = (1, 2, 4)
SHARE = 0.8
"""Each is measured for so much of its part: what its partitions have is not known before. Parts are
as large for four processes as for one, since the beginning costs each of them the same."""
LIMIT_S = 120.0
MORE_MAX = 1.05


def measure(rig: Rig) -> Iterator[Figure]:
    """Three rounds (one if quick), in turn; medians."""
    if not Path("/proc/self/stat").exists():
        yield not_measured("CPU by process", "no /proc here")
        return
    rounds = rig.size(3, 1)
    costs: dict[int, list[float]] = {processes: [] for processes in AT_ONCE}
    for number in range(rounds):
        for processes in AT_ONCE[:: 1 if number % 2 == 0 else -1]:
            figure, cost = _together(rig, processes, number)
            costs[processes].append(cost)
            yield figure
    alone = median(costs[1])
    for processes in AT_ONCE[1:]:
        cost = median(costs[processes])
        yield Figure(
            f"CPU a job, {processes} processes",
            cost,
            "µs",
            f"{cost / alone:.3f} x of one ({alone:.1f} µs)",
            f"≤ {MORE_MAX} x" if processes == AT_ONCE[1] else "",
            cost <= MORE_MAX * alone if processes == AT_ONCE[1] else None,
        )


def _together(rig: Rig, processes: int, number: int) -> tuple[Figure, float]:
    """The figure of one round, and the CPU a job in µs."""
    each = rig.size(200_000, 60_000)
    total = int(each * processes / SHARE)
    bench = rig.filled(f"processes-{processes}-{number}", "async", total)
    bench.app.control.pause(queue=bench.queue, why="until all have joined")
    folder = rig.folder / bench.app.name
    folder.mkdir()
    with ExitStack() as open_:
        start = partial(rig.worker, bench, each, together=str(folder))
        workers = [open_.enter_context(start()) for _ in range(processes)]
        _joined(rig, worker_group(bench.app.name), processes, bench.queue.partitions)
        bench.app.control.resume(queue=bench.queue)
        began, broker_s = time.monotonic(), cpu_of(*rig.broker_pids)
        wait_until(
            lambda: len([*folder.glob("done-*")]) == processes,
            "every process is done",
            limit_s=LIMIT_S,
        )
        broker_s, took_s = cpu_of(*rig.broker_pids) - broker_s, time.monotonic() - began
        (folder / "leave").touch()
        reports = [worker.report() for worker in workers]
    rig.drop(bench)
    used = [sum(report.cpu.values()) / report.jobs * 1e6 for report in reports]
    settled = sum(report.jobs for report in reports)
    cost = sum(sum(report.cpu.values()) for report in reports) / settled * 1e6
    by_process = ", ".join(f"{us:.1f}" for us in used)
    share = broker_s / took_s / (os.cpu_count() or 1)
    rate = sum(report.jobs / report.seconds for report in reports)
    beside = f"{cost:.1f} µs a job ({by_process}), the broker had {share:.0%} of the cores"
    return Figure(f"no-op jobs, {processes} processes", rate, "jobs/s", beside), cost


def _joined(rig: Rig, group: str, processes: int, partitions: int) -> None:
    """Block until that many members share all partitions; raises TooLate."""
    admin = AdminClient({"bootstrap.servers": rig.bootstrap_servers})

    def shared() -> bool:
        with suppress(KafkaException):  # before the first member there is no coordinator
            found = admin.describe_consumer_groups([group])[group].result()
            held = [len(member.assignment.topic_partitions) for member in found.members]
            return len(held) == processes and all(held) and sum(held) == partitions
        return False

    wait_until(shared, f"{processes} members share {group}", limit_s=LIMIT_S)
