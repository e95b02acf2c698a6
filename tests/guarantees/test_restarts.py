"""Workers that are told to leave hand over cleanly; lost offsets bring nothing back."""

from __future__ import annotations

import shutil
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import TYPE_CHECKING

import pytest
from confluent_kafka import ConsumerGroupType
from confluent_kafka.admin import AdminClient
from tests.harness.trial import Progress
from tests.harness.waiting import ASK_AGAIN_S, wait_until

from jobstream.exits import REPLACE
from jobstream.topics.names import worker_group

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    from tests.harness.trial import Trial

    from jobstream.app import App
    from jobstream.broker.fixture import RunningKafka

    NewTrial = Callable[..., tuple[Trial, ModuleType]]
    Say = Callable[[object], None]

pytestmark = pytest.mark.kafka

LIMIT_S = 300.0
WORKERS = 3
WAITING = 500
SESSION_S = 3
KEPT_SESSION_S = 6
"""Of who is to keep its session: held up for as long, less a heartbeat, a worker leaves."""


def keep_waiting(shop: ModuleType, over: Event) -> list[str]:
    """Enqueue as fast as jobs end, so that hundreds wait until `over`; returns their ids."""
    progress, ids = Progress(shop.FOLDER / "ledger"), list[str]()
    while not over.wait(ASK_AGAIN_S):
        if len(ids) - progress.look().ends < WAITING:
            ids += shop.steady.enqueue_many(shop.Work(n, ms=80) for n in range(WAITING))
    return ids


def test_rolling_restart_runs_no_job_twice(
    kafka: RunningKafka, new_trial: NewTrial, say: Say
) -> None:
    trial, shop = new_trial(kafka.bootstrap_servers, JOBSTREAM_CONCURRENCY="20")
    for _ in range(WORKERS):
        trial.fleet.start()
    over = Event()
    with ThreadPoolExecutor(1) as producer:
        load = producer.submit(keep_waiting, shop, over)
        try:
            for leaving in list(trial.fleet.members):
                goal = trial.progress.look().ends + 300
                wait_until(
                    lambda goal=goal: trial.progress.look().ends >= goal,  # type: ignore[misc]
                    "the load runs",
                    limit_s=LIMIT_S,
                )
                assert trial.fleet.drain(leaving) == 0
                trial.fleet.start()
        finally:
            over.set()
        ids = load.result()
    trial.wait_until_quiet()

    found = trial.audit(ids)
    say(found)
    assert (found.lost, found.doubled, found.reruns, found.dead) == (0, 0, 0, 0), found.findings


def test_the_classic_protocol_keeps_the_guarantees(
    kafka: RunningKafka, new_trial: NewTrial, say: Say
) -> None:
    # Given workers that share partitions by the classic protocol, under load
    trial, shop = new_trial(
        kafka.bootstrap_servers,
        JOBSTREAM_GROUP_PROTOCOL="classic",
        JOBSTREAM_SESSION_TIMEOUT="6s",
        JOBSTREAM_CONCURRENCY="20",
    )
    victim, leaving = trial.fleet.start(), trial.fleet.start()
    ids = shop.steady.enqueue_many(shop.Work(n, ms=5) for n in range(2_000))
    wait_until(lambda: trial.progress.look().ends >= 500, "the load runs", limit_s=LIMIT_S)
    assert group_type(trial.app) == ConsumerGroupType.CLASSIC

    # When one is killed, another takes its place, and a third is told to leave
    trial.fleet.kill(victim)
    trial.fleet.start()
    ids += shop.steady.enqueue_many(shop.Work(n, ms=5) for n in range(1_000))
    assert trial.fleet.drain(leaving) == 0
    trial.wait_until_quiet()

    # Then every job is done, and none was started again that was settled
    found = trial.audit(ids)
    say(found)
    assert (found.done, found.lost, found.doubled) == (len(ids), 0, 0), found.findings


def group_type(app: App) -> ConsumerGroupType:
    """By which protocol the workers of an app share their partitions."""
    admin = AdminClient({"bootstrap.servers": app.settings.bootstrap_servers})
    listed = admin.list_consumer_groups(request_timeout=LIMIT_S).result().valid
    (found,) = [group for group in listed if group.group_id == worker_group(app.name)]
    return ConsumerGroupType(found.type)


def test_drain_longer_than_the_session_keeps_its_jobs(
    kafka: RunningKafka, new_trial: NewTrial
) -> None:
    trial, shop = new_trial(
        kafka.bootstrap_servers,
        JOBSTREAM_SESSION_TIMEOUT=f"{KEPT_SESSION_S}s",
        JOBSTREAM_DRAIN="2m",
    )
    members = [trial.fleet.start(), trial.fleet.start()]
    wait_until(
        lambda: all(b"partition_served" in member.log.read_bytes() for member in members),
        "both serve a queue",
        limit_s=LIMIT_S,
    )
    trial.wait_until_quiet()  # and with it, that the partitions have found their owners
    job = shop.steady.enqueue(shop.Work(0, until="gate")).job_id
    (pid,) = wait_until(
        lambda: trial.progress.look().starts.get(job, []), "the job runs", limit_s=LIMIT_S
    )
    leaving = next(member for member in members if member.pid == pid)

    leaving.signal(signal.SIGTERM)
    drained_s = 3 * KEPT_SESSION_S
    over = time.monotonic() + drained_s
    wait_until(lambda: time.monotonic() > over, "three sessions are over", limit_s=2 * drained_s)
    (shop.FOLDER / "gate").touch()

    assert leaving.wait() == 0, leaving.tail()
    trial.wait_until_quiet()
    found = trial.audit([job])
    assert (found.done, found.reruns, found.lost) == (1, 0, 0), leaving.tail()


def test_a_worker_that_slept_leaves_though_its_clients_wait(
    kafka: RunningKafka, new_trial: NewTrial
) -> None:
    trial, shop = new_trial(
        kafka.bootstrap_servers, JOBSTREAM_SESSION_TIMEOUT="3s", TRIAL_HANG="polls"
    )
    member = trial.fleet.start()
    wait_until(lambda: b"partition_served" in member.log.read_bytes(), "it serves", limit_s=LIMIT_S)
    (shop.FOLDER / "stuck").touch()
    wait_until(
        lambda: len(list(shop.FOLDER.glob("hung-*"))) == 2,
        "worker and delayer wait for ever",
        limit_s=LIMIT_S,
    )

    trial.fleet.freeze(member)
    over = time.monotonic() + SESSION_S
    wait_until(lambda: time.monotonic() > over, "its session is over", limit_s=2 * SESSION_S)
    trial.fleet.thaw(member)

    assert member.wait() == REPLACE, member.tail()
    assert "stood still for" in member.tail()


@pytest.mark.parametrize("also_gone", ["", "tables", "tables and mirrors"])
def test_group_that_forgot_its_offsets_runs_nothing_again(
    also_gone: str, kafka: RunningKafka, new_trial: NewTrial, say: Say
) -> None:
    trial, shop = new_trial(kafka.bootstrap_servers)
    ids = shop.steady.enqueue_many(shop.Work(n) for n in range(500))
    ids += shop.plain.enqueue_many(shop.Work(n) for n in range(500))
    ids += shop.steady.enqueue_many((shop.Work(n) for n in range(100)), delay="200ms")
    first = trial.fleet.start()
    trial.wait_until_quiet()
    assert trial.fleet.drain(first) == 0
    starts = sum(map(len, trial.progress.look().starts.values()))

    for group in (trial.app.name, f"{trial.app.name}.delay"):
        trial.lag.delete_group(group)
    if "tables" in also_gone:
        shutil.rmtree(shop.FOLDER / "state")
    if "mirrors" in also_gone:
        trial.forget_mirrors()
    assert any(at.lag for at in trial.standings().values()), "the offsets are forgotten"
    trial.fleet.start()
    more = shop.steady.enqueue_many(shop.Work(n) for n in range(50))
    trial.wait_until_quiet()

    found = trial.audit([*ids, *more])
    again = sum(map(len, trial.progress.look().starts.values())) - starts - len(more)
    say(f"{again} of {starts} starts repeated; {found}")
    assert again == 0
    assert (found.lost, found.doubled) == (0, 0), found.findings
