"""A breaker is open while workers are killed: its jobs wait, none pays for it, few are tried."""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING

import pytest
from tests.harness.waiting import wait_until

from jobstream_processors.core.headers import parse

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    from tests.harness.trial import Trial

    from jobstream.broker.fixture import RunningKafka

    NewTrial = Callable[..., tuple[Trial, ModuleType]]
    Say = Callable[[object], None]

pytestmark = pytest.mark.kafka

LIMIT_S = 300.0
JOBS, WORKERS, KILLS, SLOTS = 400, 3, 3, 4
OPEN_S = 2.0
SETTINGS = {"JOBSTREAM_CONCURRENCY": str(SLOTS), "JOBSTREAM_SESSION_TIMEOUT": "3s"}


def copies(trial: Trial) -> int:
    """Copies that went to the ladder since the breaker was open."""
    found = 0
    for topic, partitions in trial.rung_places:
        for batch in trial.log.read((topic, partitions), *trial.log.span((topic, partitions))):
            found += sum(parse(record.headers()).waits == "breaker" for record in batch)
    return found


def test_no_job_pays_for_a_breaker_that_is_open_whoever_is_killed(
    kafka: RunningKafka, new_trial: NewTrial, say: Say
) -> None:
    # Given workers whose jobs call what is down, so that the breaker is open and all jobs wait
    trial, shop = new_trial(kafka.bootstrap_servers, **SETTINGS)
    for _ in range(WORKERS):
        trial.fleet.start()
    ids = shop.posted.enqueue_many(shop.Work(number) for number in range(JOBS))
    wait_until(lambda: trial.progress.look().ends > 0, "jobs run", limit_s=LIMIT_S)
    began = time.monotonic()

    # When one worker after the other is killed: as jobs leave, while all wait, at the probes
    for kill in range(KILLS):
        goal = (kill + 1) * JOBS // KILLS
        wait_until(
            lambda goal=goal: copies(trial) >= goal,  # type: ignore[misc]
            f"{goal} copies wait",
            limit_s=LIMIT_S,
            every_s=0.2,
        )
        trial.fleet.kill(trial.fleet.alive[0])
        trial.fleet.start()
    tried = sum(map(len, trial.progress.look().starts.values()))
    down_s = time.monotonic() - began
    shop.POST_IS_UP.touch()
    trial.wait_until_quiet()

    # Then each job is done, once, with no attempt used but those of its own runs
    found = trial.audit(ids)
    say({"done": found.done, "reruns": found.reruns, "tried": tried, "down_s": round(down_s, 1)})
    assert (found.done, found.lost, found.doubled) == (len(ids), 0, 0), found.findings
    failed: Counter[str] = Counter()
    attempts: Counter[str] = Counter()
    for entry in trial.ledger:
        if entry.kind == "start":
            attempts[entry.job_id] = max(attempts[entry.job_id], entry.attempt)
        elif entry.how == "FailsOnce":
            failed[entry.job_id] += 1
    paid = {each: n for each, n in attempts.items() if n > 1 + failed[each]}
    assert not paid, "attempts were used without a run"
    # And while it was down each process failed often enough to know, and then sent its probes.
    openings = WORKERS * (down_s / OPEN_S + 1)
    assert tried <= (WORKERS + KILLS) * (shop.POST.least + SLOTS) + openings * shop.POST.probes
