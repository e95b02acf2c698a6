"""Schedules whose owners are killed, frozen and expelled: each tick is one job, none is early.

A scheduler runs beside the roles of every member. What a tick's job is to be is known from its
headers alone; a record that claims another tick's id is told of.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.simulation.jobs import (
    CATALOGUE,
    OK,
    RETRY,
    TIMEOUT_S,
    Run,
    Script,
    Stage,
    Work,
    app,
    mail,
    on_loop,
)
from tests.simulation.ledger import PLAN, SLACK_MS
from tests.simulation.places import LATE_US_MAX
from tests.simulation.runtime import EPOCH_US

from jobstream import Context  # noqa: TC001 - the app reads it
from jobstream.topics.names import schedule_group, schedules_topic
from jobstream_processors.core.headers import Carried, parse

if TYPE_CHECKING:
    from random import Random

    from tests.simulation.ledger import Ledger
    from tests.simulation.seen import Written
    from tests.simulation.world import World

    from jobstream_processors.ports import Outgoing, TopicPartition

TICKED = "ticked"
EVERY_S = {"twos": 2, "threes": 3, "sevens": 7}
SCHEDULERS, TOPIC = schedule_group(app.name), schedules_topic(app.name)
RUNS = (Run(OK, 0.05),)
SECOND = 1_000_000
AFTERWARDS_S = 40
"""So long schedules are watched after all that was enqueued has ended."""
ENDS_US = 20 * SECOND
"""The job of a tick that came so shortly before the end may have none yet."""


@app.job(queue=mail, retry=RETRY, timeout=TIMEOUT_S, name=TICKED)
async def ticked(args: Work, ctx: Context) -> None:  # noqa: ARG001 - all ticks have the same
    await on_loop(Work(Stage.ledger.ids[ctx.job_id]), ctx)


for _name, _seconds in EVERY_S.items():
    app.every(f"{_seconds}s", args=Work(0), overlap="allow", missed="all", name=_name)(ticked)
for _schema in app.schemas():
    CATALOGUE.register(_schema)


class Ticks:
    """What schedules have done in one simulation."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._made: dict[str, dict[int, str]] = {name: {} for name in EVERY_S}
        """The id of the job of each tick."""

    def appended(
        self, record: Outgoing, place: TopicPartition, offset: int, stamp_ms: int
    ) -> Written | None:
        """A record of any topic; those of ticks are judged here, and then as all are."""
        if record.topic == PLAN.topic and record.headers and record.value is not None:
            carried = parse(record.headers)
            if carried.scheduled_ms is not None and not carried.seq and not carried.redrive:
                self._judge(carried, carried.scheduled_ms, CATALOGUE.decode(record.value).id)
        return self._ledger.appended(record, place, offset, stamp_ms)

    def _judge(self, carried: Carried, tick_ms: int, job_id: str) -> None:
        ledger, made = self._ledger, self._made[carried.schedule]
        now_us = EPOCH_US + ledger.scheduler.now_us
        what = f"tick {tick_ms} of {carried.schedule}"
        if now_us / 1_000 + ledger.skew_max_ms < tick_ms - SLACK_MS:
            ledger.violation(f"{what} comes {tick_ms - now_us / 1_000:.0f} ms early")
        if tick_ms in made:
            # An owner that died in between made it.
            if job_id != made[tick_ms]:
                ledger.violation(f"{what} became two jobs")
            return
        made[tick_ms] = job_id
        due_us = max(tick_ms * 1_000 - EPOCH_US, ledger.disturbed_us)
        late_us = ledger.scheduler.now_us - due_us - ledger.skew_max_ms * 2_000
        if late_us > LATE_US_MAX:
            ledger.violation(f"{what} comes {late_us / SECOND:.1f} s late")
        script = Script(len(ledger.scripts), TICKED, RUNS, job_id=job_id, acknowledged=True)
        script.at_s = ledger.scheduler.now_us / SECOND
        script.ends = frozenset({"done"})
        ledger.add(script)

    def judge(self) -> None:
        """From the first tick that became a job to the last that is due, none is missing."""
        ledger = self._ledger
        now_us = ledger.scheduler.now_us
        if now_us < ledger.disturbed_us + LATE_US_MAX:
            return
        until_ms = (EPOCH_US + now_us - LATE_US_MAX) // 1_000 - 2 * ledger.skew_max_ms
        for name, made in self._made.items():
            if not made:
                ledger.violation(f"no tick of {name} became a job")
                continue
            step_ms = EVERY_S[name] * 1_000
            missing = set(range(min(made), until_ms, step_ms)) - made.keys()
            if missing or any((tick - min(made)) % step_ms for tick in made):
                ledger.violation(f"of {name} no job came of {sorted(missing)[:3]}")


def has_no_end_yet(ledger: Ledger, script: Script) -> bool:
    """Whether it came of one of the last ticks: schedules go on to the end."""
    since_us = ledger.scheduler.now_us - ENDS_US
    return script.kind == TICKED and script.at_s * SECOND > since_us


def trouble(world: World, rng: Random, length_s: float) -> None:
    """The group of schedulers rebalances and forgets, and its topic is compacted."""
    network, at = world.network, world.scheduler.at

    def forget() -> None:
        world.trace.tell("offsets gone", SCHEDULERS)
        network.group(SCHEDULERS).committed.clear()

    def rebalance() -> None:
        world.trace.tell("rebalance", SCHEDULERS)
        world.disturbed(20)
        network.rebalance(SCHEDULERS)

    def compact() -> None:
        world.trace.tell("compacted", TOPIC)
        network.compact(TOPIC, drop_tombstones=rng.random() < 0.5)

    for happens in (forget, rebalance, compact):
        if rng.random() < 0.5:
            at(round(rng.uniform(1.0, length_s) * SECOND), happens)
