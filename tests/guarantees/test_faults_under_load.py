"""Everything goes wrong in one run, under load: nothing is lost, doubled or out of order."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
from tests.harness.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    from tests.harness.trial import Trial

    from jobstream.broker.embedded import EmbeddedKafka

    NewTrial = Callable[..., tuple[Trial, ModuleType]]
    Say = Callable[[object], None]

pytestmark = pytest.mark.kafka

JOBS = 20_000
FIRST_WAVE = 8_000
WAVE = 3_000
KEYS = 200
LIMIT_S = 300.0
SETTINGS = {"JOBSTREAM_CONCURRENCY": "50", "JOBSTREAM_WINDOW": "200"}


class Load:
    """Enqueues jobs of three types in waves, and remembers them in the order of each key."""

    def __init__(self, trial: Trial, shop: ModuleType) -> None:
        self._trial = trial
        self._shop = shop
        self._next = 0
        self.ids: list[str] = []
        self.permanent: set[str] = set()
        self.transient = 0

    def wave(self, jobs: int) -> None:
        numbers = range(self._next, self._next + jobs)
        self._next += jobs
        shop = self._shop
        third = jobs // 3
        for job_type, part, keyed in (
            (shop.plain, numbers[:third], False),
            (shop.retried, numbers[third : 2 * third], True),
            (shop.holding, numbers[2 * third :], True),
        ):
            work = [
                shop.Work(number, key=f"key-{number % KEYS}" if keyed else "", ms=5)
                for number in part
            ]
            ids = job_type.enqueue_many(work, key=(lambda args: args.key) if keyed else None)
            self.ids += ids
            self.permanent |= {i for i, n in zip(ids, part, strict=True) if shop.is_permanent(n)}
            self.transient += sum(map(shop.is_transient, part))

    def reach(self, ended: int) -> None:
        """Wait until that many runs have ended."""
        wait_until(
            lambda: self._trial.progress.look().ends >= ended,
            f"{ended} runs have ended",
            limit_s=LIMIT_S,
        )


def kill_each(trial: Trial, load: Load) -> None:
    """Each of the first three workers, one after the other, each replaced at once."""
    for victim in list(trial.fleet.members):
        trial.fleet.kill(victim)
        trial.fleet.start()
        load.wave(WAVE)
        load.reach(len(load.ids) - WAVE // 2)


def freeze_one(trial: Trial, load: Load) -> None:
    """One is frozen until others have finished all its jobs, and thaws under new load."""
    frozen = trial.fleet.alive[0]
    trial.fleet.freeze(frozen)
    trial.wait_until_quiet()
    load.wave(WAVE)
    trial.fleet.thaw(frozen)
    # It must not believe that it left well, whatever it noticed first.
    assert frozen.wait() != 0, frozen.tail()
    trial.fleet.start()


def kill_a_broker(kafka: EmbeddedKafka, load: Load) -> None:
    """One of three brokers; it comes back later."""
    load.reach(len(load.ids) - WAVE // 2)
    kafka.kill(2)
    load.reach(len(load.ids) - WAVE // 4)
    kafka.restart(2)


def test_nothing_is_lost_or_doubled(
    kafka_three: EmbeddedKafka, new_trial: NewTrial, say: Say
) -> None:
    began = time.monotonic()
    trial, shop = new_trial(kafka_three.bootstrap_servers, **SETTINGS)
    load = Load(trial, shop)
    for _ in range(3):
        trial.fleet.start()
    load.wave(FIRST_WAVE)
    load.reach(JOBS // 5)

    kill_each(trial, load)
    freeze_one(trial, load)
    kill_a_broker(kafka_three, load)
    trial.wait_until_quiet()
    codes = trial.fleet.drain_all()
    kafka_three.wait_in_sync()

    found = trial.audit(load.ids, hold_key=["holding"])
    say(f"{found} in {time.monotonic() - began:.0f} s")
    assert len(load.ids) == JOBS
    assert (found.lost, found.doubled, found.order_violations) == (0, 0, 0), found.findings
    assert trial.letters() == {(job_id, 0): "permanent" for job_id in load.permanent}
    assert (found.dead, found.done) == (len(load.permanent), JOBS - len(load.permanent))
    assert (len(load.permanent), load.transient) == (JOBS // 100, JOBS // 20)
    assert codes == [0, 0, 0]
    # The faults were real: three kills and a freeze cut runs off.
    assert [kill.kind for kill in trial.fleet.kills] == ["kill", "kill", "kill", "freeze"]
    assert found.reruns > 0
