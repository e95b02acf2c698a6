"""The tests of the guarantees can fail: a worker with one rule taken out is caught.

Each flaw turns the counter red that watches its rule, and no other. The same kill at the same
moment leaves a sound worker blameless.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import pytest
from tests.harness.waiting import TooLate, wait_until

from jobstream.testing.rows import ends
from jobstream.topics.names import delay_group

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import ModuleType

    from tests.harness.fleet import Member
    from tests.harness.trial import Trial

    from jobstream.broker.fixture import RunningKafka
    from jobstream.testing.audit import Audit

    NewTrial = Callable[..., tuple[Trial, ModuleType]]

pytestmark = [pytest.mark.kafka, pytest.mark.pure("puts faults back by patching what is compiled")]

SETTINGS = {
    "TRIAL_PARTITIONS": "1",
    "JOBSTREAM_SESSION_TIMEOUT": "3s",
    "JOBSTREAM_COMMIT_INTERVAL": "100ms",
}
LIMIT_S = 300.0
CHANCE_S = 2.0
"""Twenty commit intervals: what a sound worker would commit, it has committed by then."""
STARTS_MAX = 4


def worker(trial: Trial, flaw: str, **env: str) -> Member:
    return trial.fleet.start({"TRIAL_FLAW": flaw, **env})


def committed(trial: Trial, topic: str) -> int:
    return trial.lag.standings(trial.app.name, [(topic, 0)])[topic, 0].committed


def happens(condition: Callable[[], object], what: str, flaw: str) -> bool:
    """Whether it happens: with a flaw sooner or later, in a sound worker not within CHANCE_S."""
    try:
        wait_until(condition, what, limit_s=LIMIT_S if flaw else CHANCE_S)
    except TooLate:
        return False
    return True


def hung(trial: Trial, folder: Path) -> None:
    wait_until((folder / "hung").exists, "the worker hangs", limit_s=LIMIT_S)
    assert trial.fleet.alive


def killed_or_dead(trial: Trial, member: Member, job_id: str) -> bool:
    return member.exit_code is not None or job_id in trial.letters_by_id()


def finish(trial: Trial, ids: list[str], **env: str) -> Audit:
    """Let a sound worker take over and do what is left."""
    trial.fleet.start(env)
    trial.wait_until_quiet()
    return trial.audit(ids, hold_key=["holding"])


@pytest.mark.parametrize("flaw", ["", "commit_before_acknowledgement"])
def test_commit_before_acknowledgement_loses(
    flaw: str, kafka: RunningKafka, new_trial: NewTrial
) -> None:
    trial, shop = new_trial(kafka.bootstrap_servers, **SETTINGS)
    ids = shop.steady.enqueue_many(shop.Work(n) for n in range(200))
    member = worker(trial, flaw, TRIAL_HANG="rows")
    hung(trial, shop.FOLDER)

    early = happens(lambda: committed(trial, shop.app.plan(shop.mail).topic) > 0, "a commit", flaw)
    trial.fleet.kill(member)

    found = finish(trial, ids)
    assert early is bool(flaw)
    assert (found.lost > 0) is bool(flaw)
    assert (found.doubled, found.order_violations) == (0, 0)


@pytest.mark.parametrize("flaw", ["", "commit_last_finished"])
def test_commit_of_the_last_finished_loses(
    flaw: str, kafka: RunningKafka, new_trial: NewTrial
) -> None:
    trial, shop = new_trial(kafka.bootstrap_servers, **SETTINGS)
    ids = [shop.steady.enqueue(shop.Work(0, until="gate")).job_id]
    ids += shop.steady.enqueue_many(shop.Work(n) for n in range(1, 200))
    member = worker(trial, flaw)
    wait_until(lambda: trial.progress.look().ends == 199, "all but one end", limit_s=LIMIT_S)

    early = happens(lambda: committed(trial, shop.app.plan(shop.mail).topic) > 0, "a commit", flaw)
    trial.fleet.kill(member)
    (shop.FOLDER / "gate").touch()

    found = finish(trial, ids)
    assert early is bool(flaw)
    assert found.lost == (1 if flaw else 0)
    assert (found.doubled, found.order_violations) == (0, 0)


@pytest.mark.parametrize("flaw", ["", "moved_before_copy"])
def test_moved_row_before_its_copy_loses(
    flaw: str, kafka: RunningKafka, new_trial: NewTrial
) -> None:
    trial, shop = new_trial(kafka.bootstrap_servers, **SETTINGS)
    ids = shop.plain.enqueue_many(shop.Work(3) for _ in range(100))
    member = worker(trial, flaw, TRIAL_HANG="copies")
    hung(trial, shop.FOLDER)

    trial.fleet.kill(member)

    found = finish(trial, ids)
    assert (found.lost > 0) is bool(flaw)
    assert (found.doubled, found.order_violations) == (0, 0)


@pytest.mark.parametrize("flaw", ["", "key_freed_at_handler_end"])
def test_key_freed_at_handler_end_breaks_the_order(
    flaw: str, kafka: RunningKafka, new_trial: NewTrial
) -> None:
    trial, shop = new_trial(kafka.bootstrap_servers, **SETTINGS)
    jobs = [shop.Work(number, key=f"key-{key}") for key in range(20) for number in (3, 4)]
    ids = shop.holding.enqueue_many(jobs, key=lambda args: args.key)

    found = finish(trial, ids, TRIAL_FLAW=flaw)
    assert (found.order_violations > 0) is bool(flaw)
    assert (found.lost, found.doubled) == (0, 0)


@pytest.mark.parametrize("flaw", ["", "clean_without_claim"])
def test_clean_of_an_older_owner_lets_poison_kill_on(
    flaw: str, kafka: RunningKafka, new_trial: NewTrial, say: Callable[[object], None]
) -> None:
    trial, shop = new_trial(kafka.bootstrap_servers, **SETTINGS)
    ids = [shop.steady.enqueue(shop.Work(1)).job_id]
    first = trial.fleet.start()
    trial.wait_until_quiet()
    assert trial.fleet.drain(first) == 0
    poison = shop.poison.enqueue(shop.Poison("exit")).job_id
    starts = trial.progress.starts

    while len(starts.get(poison, ())) <= STARTS_MAX:
        member = worker(trial, flaw)
        wait_until(
            partial(killed_or_dead, trial, member, poison),
            "the poison kills the worker, or is dead",
            limit_s=LIMIT_S,
        )
        if member.exit_code is None:
            break
        trial.fleet.died(member)
        trial.progress.look()

    trial.progress.look()
    say(f"{len(starts[poison])} starts of the poison")
    assert (len(starts[poison]) > STARTS_MAX) is bool(flaw)
    found = trial.audit([*ids, poison])
    assert (found.lost, found.dead) == ((1, 0) if flaw else (0, 1))
    assert (found.doubled, found.order_violations) == (0, 0)


@pytest.mark.parametrize("flaw", ["", "no_dedup"])
def test_without_the_table_jobs_are_doubled(
    flaw: str, kafka: RunningKafka, new_trial: NewTrial
) -> None:
    trial, shop = new_trial(kafka.bootstrap_servers, **SETTINGS)
    ids = shop.steady.enqueue_many(shop.Work(n) for n in range(200))
    member = trial.fleet.start({"JOBSTREAM_COMMIT_INTERVAL": "10m"})
    wait_until(lambda: len(ends(trial.rows())) == 200, "all rows are there", limit_s=LIMIT_S)

    trial.fleet.kill(member)

    found = finish(trial, ids, TRIAL_FLAW=flaw)
    assert (found.doubled > 0) is bool(flaw)
    assert (found.lost, found.order_violations) == (0, 0)


@pytest.mark.parametrize("flaw", ["", "no_dedup"])
def test_without_the_table_a_hop_made_twice_is_a_job_run_twice(
    flaw: str, kafka: RunningKafka, new_trial: NewTrial
) -> None:
    """The delayer dies after the broker has acknowledged its hops and before it commits them."""
    trial, shop = new_trial(kafka.bootstrap_servers, **SETTINGS)
    plan = shop.app.plan(shop.mail)
    ids = shop.steady.enqueue_many((shop.Work(n) for n in range(50)), delay="100ms")
    delayer = worker(trial, "", TRIAL_HANG="hops", TRIAL_ONLY="delayer")
    hung(trial, shop.FOLDER)
    hopped = len(list(trial.records(plan.topic, 1)))
    assert hopped > 0
    rung = (plan.rungs["0s"][0], 0)
    assert trial.lag.standings(delay_group(trial.app.name), [rung])[rung].committed <= 0

    trial.fleet.kill(delayer)

    found = finish(trial, ids, TRIAL_FLAW=flaw)
    assert len(list(trial.records(plan.topic, 1))) == 50 + hopped, "so many were made twice"
    assert (found.doubled > 0) is bool(flaw)
    assert (found.done, found.lost, found.order_violations) == (50, 0, 0)
