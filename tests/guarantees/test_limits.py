"""Limits hold while workers are killed: never more at once, never more in a time."""

from __future__ import annotations

import signal
from collections import defaultdict
from typing import TYPE_CHECKING

import pytest
from tests.harness.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import ModuleType

    from tests.harness.trial import Trial

    from jobstream.broker.fixture import RunningKafka

    NewTrial = Callable[..., tuple[Trial, ModuleType]]
    Say = Callable[[object], None]

pytestmark = pytest.mark.kafka

LIMIT_S = 300.0
KEYS = 6
JOBS = 240
KILLS = 4
JITTER_MS = 500
"""Between a start that is counted and the first line of a handler, on a busy machine: no more than
the time of one start, or a limit that lets more through would not be seen."""
RARE_JITTER_MS = 10_000


def test_limits_hold_while_workers_are_killed(
    kafka: RunningKafka, new_trial: NewTrial, say: Say
) -> None:
    # Given jobs of a few keys that wait for each other, and three workers
    trial, shop = new_trial(kafka.bootstrap_servers, JOBSTREAM_SESSION_TIMEOUT="3s")
    for _ in range(3):
        trial.fleet.start()
    ids = shop.limited.enqueue_many(
        shop.Work(number, key=f"k{number % KEYS}", ms=400) for number in range(JOBS)
    )

    # When one after the other is killed, or asked to leave, while jobs run
    for kill in range(KILLS):
        goal = trial.progress.look().ends + JOBS // (KILLS + 2)
        wait_until(
            lambda goal=goal: trial.progress.look().ends >= goal,  # type: ignore[misc]
            "the load runs",
            limit_s=LIMIT_S,
        )
        victim = trial.fleet.alive[0]
        if kill % 2:
            victim.signal(signal.SIGTERM)
        else:
            trial.fleet.kill(victim)
        trial.fleet.start()
    trial.wait_until_quiet()

    # Then all are done, and no limit was passed at any time
    found = trial.audit(ids)
    say({"done": found.done, "reruns": found.reruns})
    assert (found.done, found.lost, found.doubled) == (len(ids), 0, 0), found.findings
    assert starts_beyond(trial, shop) == {f"k{number}": () for number in range(KEYS)}
    most = most_at_once(trial)
    say(f"at most {most} ran at once")
    assert most <= shop.AT_ONCE


@pytest.mark.pure("puts a fault back by patching what is compiled")
def test_a_burst_of_twice_the_size_is_seen(
    kafka: RunningKafka, new_trial: NewTrial, say: Say
) -> None:
    trial, shop = new_trial(kafka.bootstrap_servers)
    trial.fleet.start({"TRIAL_FLAW": "bursts_of_twice_the_size"})

    shop.limited.enqueue_many(
        shop.Work(number, key=f"k{number % KEYS}", ms=0) for number in range(JOBS // 4)
    )
    trial.wait_until_quiet()

    beyond = starts_beyond(trial, shop)
    say(beyond)
    assert any(beyond.values())


RARE_SETTINGS = {"TRIAL_PARTITIONS": "1"}
FLAWED = pytest.param(
    "limits_that_forget", marks=pytest.mark.pure("puts a fault back by patching what is compiled")
)


@pytest.mark.parametrize("flaw", ["", FLAWED])
def test_what_an_owner_used_up_counts_for_the_next(
    flaw: str, kafka: RunningKafka, new_trial: NewTrial, say: Say
) -> None:
    # Given a worker that has used up a burst, which counts for a minute, and leaves cleanly
    trial, shop = new_trial(kafka.bootstrap_servers, **RARE_SETTINGS)
    first = trial.fleet.start()
    ids = shop.rare.enqueue_many(shop.Work(number, key="k") for number in range(2))
    wait_until(lambda: trial.progress.look().ends == 2, "its burst is over", limit_s=LIMIT_S)
    first.signal(signal.SIGTERM)
    wait_until(lambda: first.exit_code is not None, "it has left", limit_s=LIMIT_S)
    assert first.exit_code == 0

    # When the next one gets two more of that key
    trial.fleet.start({"TRIAL_FLAW": flaw})
    ids += shop.rare.enqueue_many(shop.Work(number, key="k") for number in range(2, 4))
    trial.wait_until_quiet()

    # Then they wait for the rate, unless it has read nothing of what was used up
    found = trial.audit(ids)
    assert (found.done, found.lost, found.doubled) == (4, 0, 0), found.findings
    starts = [entry.at_ms for entry in trial.ledger if entry.kind == "start"]
    passed = too_many(sorted(starts), shop.RARE_BURST, 1 / shop.RARE_S, RARE_JITTER_MS)
    say(passed)
    assert bool(passed) is bool(flaw)


def starts_beyond(trial: Trial, shop: ModuleType) -> dict[str, Sequence[int]]:
    """Of each key, starts in a row of which its rate does not let so many."""
    starts: dict[str, list[int]] = defaultdict(list)
    for entry in trial.ledger:
        if entry.kind == "start":
            starts[entry.key].append(entry.at_ms)
    return {
        key: too_many(sorted(times), shop.BURST, shop.PER_SECOND, JITTER_MS)
        for key, times in starts.items()
    }


def too_many(times: Sequence[int], burst: int, per_second: float, jitter_ms: int) -> Sequence[int]:
    """The first starts in a row, by their times, of which there are more than the rate lets."""
    for first, begin in enumerate(times):
        for last in range(first, len(times)):
            allowed = burst + (times[last] - begin + jitter_ms) * per_second / 1_000
            if last - first + 1 > allowed:
                return times[first : last + 1]
    return ()


def most_at_once(trial: Trial) -> int:
    """How many handlers ran at once; those of a worker that was killed ended with it."""
    killed = {kill.pid: kill.at_ms for kill in trial.fleet.kills}
    ends = {(e.job_id, e.seq, e.pid): e.at_ms for e in trial.ledger if e.kind == "end"}
    steps: list[tuple[int, int]] = []
    for entry in trial.ledger:
        if entry.kind == "start":
            end_ms = ends.get((entry.job_id, entry.seq, entry.pid))
            if end_ms is None:
                end_ms = killed.get(entry.pid, killed.get(entry.parent, entry.at_ms))
            steps += [(entry.at_ms, 1), (end_ms, -1)]
    most = now = 0
    for _, step in sorted(steps):
        now += step
        most = max(most, now)
    return most
