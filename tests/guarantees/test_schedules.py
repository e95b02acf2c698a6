"""Schedules whose owners are killed and frozen all the while: each tick is exactly one job."""

from __future__ import annotations

import importlib.util
import sys
import time
import uuid
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.harness.fleet import Fleet
from tests.harness.waiting import wait_until

from jobstream.kafka.client.admin import Admin
from jobstream.topics.apply import apply, survey

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    from tests.harness.fleet import Member

    from jobstream.broker.fixture import RunningKafka

    Say = Callable[[object], None]

pytestmark = pytest.mark.kafka
PROGRAM = Path(__file__).with_name("programs") / "planner.py"
LIMIT_S = 180.0
KILLS = 4


def load(env: dict[str, str]) -> ModuleType:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in env.items():
            patch.setenv(name, value)
        name = f"planner_{env['TRIAL_APP'].replace('-', '_')}"
        spec = importlib.util.spec_from_file_location(name, PROGRAM)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
    return module


class Ticks:
    """What the jobs noted: by schedule and tick, the ids of its jobs."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "ticks"

    def read(self) -> dict[tuple[int, int], set[str]]:
        found = defaultdict[tuple[int, int], set[str]](set)
        text = self._file.read_text() if self._file.exists() else ""
        for line in text.splitlines():
            schedule, tick, job_id = line.split()
            found[int(schedule), int(tick)].add(job_id)
        return found

    def last(self) -> int:
        return max((tick for _, tick in self.read()), default=0)

    def all_began(self, schedules: int) -> bool:
        return len({number for number, _ in self.read()}) == schedules

    def missing(self, until_s: int, schedules: int) -> list[tuple[int, int]]:
        """Of each schedule, ticks between its first and that time that no job noted."""
        found = self.read()
        firsts = [min(at for n, at in found if n == number) for number in range(schedules)]
        due = {(n, at) for n, first_s in enumerate(firsts) for at in range(first_s, until_s + 1)}
        return sorted(due - set(found))


def test_each_tick_is_one_job_while_owners_are_killed_and_frozen(
    kafka: RunningKafka, tmp_path: Path, say: Say
) -> None:
    name = f"planner-{uuid.uuid4().hex[:8]}"
    env = {
        "JOBSTREAM_BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
        "JOBSTREAM_STATE_DIR": str(tmp_path / "state"),
        "TRIAL_APP": name,
        "TRIAL_FOLDER": str(tmp_path),
    }
    planner = load(env)
    admin = Admin(planner.app.settings)
    queues = planner.app.queues.values()
    apply(survey(admin, name, queues, planner.app.settings, schedules=True), admin)
    ticks = Ticks(tmp_path)
    with Fleet([sys.executable, str(PROGRAM)], tmp_path / "logs", env) as fleet:

        def reached(condition: Callable[[], object], what: str) -> None:
            def asked() -> object:
                fleet.replace_left()
                return condition()

            wait_until(asked, what, limit_s=LIMIT_S)

        for _ in range(2):
            fleet.start()
        reached(lambda: ticks.last() > 0, "schedules fire")
        reached(lambda: ticks.all_began(planner.SCHEDULES), "each has fired")
        for number in range(KILLS):
            seen = ticks.last()
            reached(lambda: ticks.last() > seen + 1, "they go on")  # noqa: B023 - asked at once
            hurt(fleet, fleet.alive[0], freeze=number == 1)
        stop_s = round(time.time())
        # Not that the last tick ran alone: jobs of a killed worker may run after later ones.
        reached(lambda: not ticks.missing(stop_s, planner.SCHEDULES), "no tick is lost")
        fleet.drain_all()

    found = ticks.read()
    doubled = {tick: ids for tick, ids in found.items() if len(ids) > 1}
    say(f"{len(found)} ticks of {planner.SCHEDULES} schedules, {len(fleet.kills)} kills")
    assert not doubled, "a tick has one id"


def hurt(fleet: Fleet, member: Member, *, freeze: bool) -> None:
    """Kill it, or freeze it past its session, thaw it, and let it find out; start another."""
    if not freeze:
        fleet.kill(member)
        fleet.start()
        return
    fleet.freeze(member)
    fleet.start()
    frozen_s = time.monotonic()
    wait_until(lambda: time.monotonic() > frozen_s + 10, "its session is over", limit_s=20)
    fleet.thaw(member)
    wait_until(lambda: member.exit_code is not None, "it notices", limit_s=LIMIT_S)
