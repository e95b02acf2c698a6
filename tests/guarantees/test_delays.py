"""A hundred thousand delayed jobs survive the death of everything, and none starts early."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from tests.harness.waiting import wait_until

from jobstream_schemas import Catalogue

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    from tests.harness.trial import Trial

    from jobstream.broker.fixture import RunningKafka

    NewTrial = Callable[..., tuple[Trial, ModuleType]]
    Say = Callable[[object], None]

pytestmark = pytest.mark.kafka

JOBS = 100_000
DELAY_MS = 2_000
WORKERS = 2
LIMIT_S = 600.0


def kill_all(trial: Trial) -> None:
    """Workers and delayers alike; then start as many anew."""
    for member in trial.fleet.alive:
        trial.fleet.kill(member)
    for _ in range(WORKERS):
        trial.fleet.start()


def due_times(trial: Trial, shop: ModuleType) -> dict[str, int]:
    """Job id → broker time of its first record, on whatever rung, plus the delay."""
    catalogue = Catalogue()
    catalogue.register(shop.steady.codec.schema)
    appended: dict[str, int] = {}
    for topic, partitions in trial.app.plan(shop.mail).rungs.values():
        for record in trial.records(topic, partitions):
            job_id = catalogue.decode(record.value() or b"").id
            at_ms = record.timestamp()[1]
            appended[job_id] = min(at_ms, appended.get(job_id, at_ms))
    return {job_id: at_ms + DELAY_MS for job_id, at_ms in appended.items()}


def test_none_is_lost_and_none_is_early(kafka: RunningKafka, new_trial: NewTrial, say: Say) -> None:
    trial, shop = new_trial(kafka.bootstrap_servers)
    for _ in range(WORKERS):
        trial.fleet.start()
    shop.steady.enqueue(shop.Work(0))
    wait_until(lambda: trial.progress.look().ends == 1, "workers serve", limit_s=LIMIT_S)
    began = time.monotonic()
    with ThreadPoolExecutor(1) as producer:
        work = (shop.Work(n) for n in range(JOBS))
        enqueuing = producer.submit(shop.steady.enqueue_many, work, delay="2s")
        wait_until(lambda: time.monotonic() > began + 1, "a second is over", limit_s=2)
        kill_all(trial)
        ids = enqueuing.result()
    wait_until(lambda: trial.progress.look().ends > JOBS // 10, "jobs come due", limit_s=LIMIT_S)
    kill_all(trial)
    trial.wait_until_quiet(LIMIT_S)

    due = due_times(trial, shop)
    late = sorted(
        e.at_ms - due[e.job_id] for e in trial.ledger if e.kind == "start" and e.job_id in due
    )
    found = trial.audit(ids)
    seconds = time.monotonic() - began
    say(
        f"earliest {late[0]} ms after it was due, median {late[len(late) // 2]} ms; {seconds:.0f} s"
    )
    say(found)
    assert len(due) == len(ids) == JOBS
    assert late[0] >= 0, "a job started early"
    assert (found.done, found.lost, found.doubled) == (JOBS, 0, 0), found.findings
    assert len(trial.fleet.kills) == 2 * WORKERS
