"""A job that kills its worker gets four starts at most, and takes no other job with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.harness.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    from tests.harness.trial import Trial

    from jobstream.broker.fixture import RunningKafka

    NewTrial = Callable[..., tuple[Trial, ModuleType]]
    Say = Callable[[object], None]

pytestmark = pytest.mark.kafka

LIMIT_S = 300.0
STARTS_MAX = 4
NEIGHBOURS = 200
BACKLOG = 12_000
SUSPECTS_MAX = 3_000
"""What is announced is a quarter of a second of work at the rate of just now, and on a busy machine
jobs end in bursts. A whole window of each partition would be three times as many and more."""
SETTINGS = {"JOBSTREAM_SESSION_TIMEOUT": "3s", "TRIAL_PARTITIONS": "2"}


def replace_the_dead(trial: Trial, wanted: int) -> None:
    """Do what a supervisor does: keep `wanted` workers running, whatever kills them."""
    recorded = {kill.pid for kill in trial.fleet.kills}
    for member in trial.fleet.members:
        if member.exit_code is not None and member.pid not in recorded:
            trial.fleet.died(member)
    while len(trial.fleet.alive) < wanted:
        trial.fleet.start()


def test_poison_dies_and_its_neighbours_live(
    kafka: RunningKafka, new_trial: NewTrial, say: Say
) -> None:
    trial, shop = new_trial(kafka.bootstrap_servers, **SETTINGS)
    ids = shop.steady.enqueue_many(shop.Work(n, ms=5) for n in range(NEIGHBOURS))
    hows = ("segfault", "exit", "kill")
    poison = {shop.poison.enqueue(shop.Poison(how)).job_id: how for how in hows}
    ids += shop.steady.enqueue_many(shop.Work(n, ms=5) for n in range(NEIGHBOURS))

    def dead() -> bool:
        # Two workers and a replacement for each that dies: partitions change hands all the time,
        # and suspicion has to go with them.
        replace_the_dead(trial, 2)
        return poison.keys() <= trial.letters_by_id().keys()

    wait_until(dead, "all poison is dead", limit_s=LIMIT_S, every_s=0.2)
    trial.wait_until_quiet()

    starts = trial.progress.look().starts
    found = trial.audit([*ids, *poison])
    say(f"{ {how: len(starts[job_id]) for job_id, how in poison.items()} } starts; {found}")
    for job_id, how in poison.items():
        assert 2 <= len(starts[job_id]) <= STARTS_MAX, how
    assert trial.letters() == {(job_id, 0): "crashed_worker" for job_id in poison}
    assert (found.lost, found.done, found.doubled) == (0, len(ids), 0), found.findings
    assert trial.fleet.kills, "the poison killed a worker"


def test_a_death_under_load_makes_few_jobs_suspect_and_holds_up_no_other(
    kafka: RunningKafka, new_trial: NewTrial, say: Say
) -> None:
    trial, shop = new_trial(kafka.bootstrap_servers, **SETTINGS, JOBSTREAM_CONCURRENCY="50")
    first = trial.fleet.start()
    ids = shop.steady.enqueue_many(shop.Work(n, ms=20) for n in range(BACKLOG))
    ended = 0

    def reach(more: int) -> None:
        wait_until(
            lambda: trial.progress.look().ends >= ended + more, f"{more} end", limit_s=LIMIT_S
        )

    reach(BACKLOG // 6)
    trial.fleet.kill(first)
    ended = trial.progress.look().ends
    trial.fleet.start()
    trial.wait_until_quiet()

    found = trial.audit(ids)
    workers = {member.pid for member in trial.fleet.members}
    isolated = sum(e.kind == "start" and e.parent in workers for e in trial.ledger)
    say(f"{isolated} of {BACKLOG - ended} jobs ran in children; {found}")
    # The slots of the dead one, and what its two partitions had announced beyond them.
    assert 0 < isolated < SUSPECTS_MAX
    assert (found.lost, found.doubled, found.done) == (0, 0, BACKLOG), found.findings


def test_killing_workers_from_outside_counts_for_no_job(
    kafka: RunningKafka, new_trial: NewTrial, say: Say
) -> None:
    trial, shop = new_trial(kafka.bootstrap_servers, **SETTINGS)
    innocent = shop.steady.enqueue(shop.Work(0, until="gate")).job_id
    ids = [innocent, *shop.steady.enqueue_many(shop.Work(n, ms=5) for n in range(NEIGHBOURS))]
    for kills in range(1, 6):
        member = trial.fleet.start()
        wait_until(
            lambda kills=kills: len(trial.progress.look().starts.get(innocent, ())) >= kills,  # type: ignore[misc]
            f"the innocent job has started {kills} times",
            limit_s=LIMIT_S,
        )
        trial.fleet.kill(member)
    (shop.FOLDER / "gate").touch()
    trial.fleet.start()
    trial.wait_until_quiet()

    found = trial.audit(ids)
    say(f"{len(trial.progress.look().starts[innocent])} starts of the innocent; {found}")
    assert (found.done, found.dead, found.lost, found.doubled) == (len(ids), 0, 0, 0)
    assert not trial.letters()
