"""How late ticks are, at a thousand schedules that all have one every five seconds."""

from __future__ import annotations

import os
import threading
import time
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.bench.report import Figure, percentile

from jobstream import App
from jobstream.kafka.client.admin import Admin
from jobstream.kafka.follow.topic_reader import KafkaLog
from jobstream.roles.process import Roles
from jobstream.topics.apply import apply, survey
from jobstream_processors.core.headers import headers_of, parse

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.bench.rig import Rig

SCHEDULES = 1_000
EVERY_MS = 5_000
GOAL_MS = 100.0
SETTLED_MS = 10_000
"""Ticks of the first seconds are not counted: partitions are taken over, topics met first."""


@dataclass(frozen=True)
class Nothing:
    """No args."""


def measure(rig: Rig) -> Iterator[Figure]:
    """Worker, delayer and scheduler run in this process; each tick waits for the job before."""
    for spread in ("0s", "5s"):
        yield from _with_spread(rig, spread)


def _with_spread(rig: Rig, spread: str) -> Iterator[Figure]:
    app = App(f"bench-schedules-{uuid.uuid4().hex[:6]}", size="small",
              bootstrap_servers=rig.bootstrap_servers, state_dir=rig.folder)  # fmt: skip

    @app.job
    async def work(_args: Nothing) -> None:
        """Nothing."""

    for number in range(SCHEDULES):
        app.every(f"{EVERY_MS}ms", name=f"each-{number}", spread=spread)(work)
    admin = Admin(app.settings)
    apply(survey(admin, app.name, app.queues.values(), app.settings, schedules=True), admin)
    roles = Roles(app)
    thread = threading.Thread(target=roles.run)
    thread.start()
    seconds = rig.size(90, 40)
    time.sleep(seconds)
    resident = _resident_mb()
    roles.stop()
    thread.join()
    offsets = {made.name: _offset_ms(made.name, made.spread_ms) for made in
               app.schedules.declared.values()}  # fmt: skip
    late = sorted(_lateness(app, offsets))
    of = f"{SCHEDULES} schedules, a tick each {EVERY_MS / 1000:g} s, spread {spread}"
    yield Figure("ticks fired", len(late), "ticks", of)
    yield Figure("tick fired late, p50", percentile(late, 0.5), "ms", of)
    worst = percentile(late, 0.99)
    yield Figure("tick fired late, p99", worst, "ms", of, f"≤ {GOAL_MS:g} ms", worst <= GOAL_MS)
    yield Figure("memory of the process", resident, "MB", of)


def _lateness(app: App, offsets: dict[str, int]) -> Iterator[float]:
    """By the broker's stamps on the first record of each job."""
    from jobstream_processors.core.identity import from_tick  # noqa: PLC0415 - of this alone

    plan = next(iter(app.plans().values()))
    log = KafkaLog(app.settings.client_options())
    began_ms, ticks = 0, set[int]()
    found: dict[str, tuple[int, int]] = {}
    for partition in range(plan.partitions):
        place = (plan.topic, partition)
        for records in log.read(place, *log.span(place)):
            for record in records:
                tick_ms = parse(headers_of(record)).scheduled_ms or 0
                ticks.add(tick_ms)
                found.setdefault((record.key() or b"").decode(), (tick_ms, record.timestamp()[1]))
    log.close()
    began_ms = min(ticks) + SETTLED_MS
    names = {from_tick(name, tick): name for name in offsets for tick in ticks}
    for job_id, (tick_ms, at_ms) in found.items():
        if tick_ms > began_ms:
            yield at_ms - tick_ms - offsets[names[job_id]]


def _offset_ms(name: str, spread_ms: int) -> int:
    from jobstream_processors.core.firing import offset_ms  # noqa: PLC0415 - of this alone

    return offset_ms(name, spread_ms)


def _resident_mb() -> float:
    with open(f"/proc/{os.getpid()}/statm", encoding="ascii") as told:  # noqa: PTH123 - a pseudo file
        return int(told.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6
