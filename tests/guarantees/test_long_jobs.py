"""Deploys and scale-ups under jobs longer than sessions: none is cut, or it is waited for."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from tests.harness.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    from tests.harness.fleet import Member
    from tests.harness.trial import Trial

    from jobstream.broker.fixture import RunningKafka
    from jobstream.testing.ledger import Entry

    NewTrial = Callable[..., tuple[Trial, ModuleType]]
    Say = Callable[[object], None]

pytestmark = pytest.mark.kafka

LIMIT_S = 300.0
KEYS = 8
SESSION = "6s"
"""Held up for as long, less a heartbeat, a worker leaves: none may, and a machine may be busy."""
JOB_MS = 13_000
"""Two sessions, and longer than any revocation was waited for once."""


def serves(member: Member) -> bool:
    return b"partition_served" in member.log.read_bytes()


def runs_of(trial: Trial) -> list[tuple[Entry, Entry | None]]:
    """Each start with the end of that run, in the order of the starts."""
    entries = list(trial.ledger)
    ends = {(e.job_id, e.pid): e for e in entries if e.kind == "end"}
    starts = [entry for entry in entries if entry.kind == "start"]
    return [(s, ends.get((s.job_id, s.pid))) for s in sorted(starts, key=lambda s: s.at_ms)]


def overlaps(trial: Trial) -> list[str]:
    """Starts of a key while another run of it went on, anywhere."""
    found = []
    by_key: dict[str, list[tuple[Entry, Entry | None]]] = {}
    for start, end in runs_of(trial):
        if start.key:
            by_key.setdefault(start.key, []).append((start, end))
    for key, runs in by_key.items():
        for (_, end), (start, _) in pairwise(runs):
            if end is None or start.at_ms < end.at_ms:
                found.append(f"{key}: {start.job_id} began in {start.pid} beside {end}")
    return found


@pytest.mark.parametrize("protocol", ["consumer", "classic"])
def test_partitions_that_move_under_long_jobs_cut_none(
    kafka: RunningKafka, new_trial: NewTrial, say: Say, protocol: str
) -> None:
    # Given two workers that run jobs longer than a session, two of each key
    trial, shop = new_trial(
        kafka.bootstrap_servers,
        JOBSTREAM_GROUP_PROTOCOL=protocol,
        JOBSTREAM_SESSION_TIMEOUT=SESSION,
    )
    old = [trial.fleet.start(), trial.fleet.start()]
    wait_until(lambda: all(map(serves, old)), "both serve a partition", limit_s=LIMIT_S)
    jobs = [(shop.Work(n, key=f"k{n % KEYS}", ms=JOB_MS), f"k{n % KEYS}") for n in range(KEYS)]
    ids = [shop.steady.enqueue(args, key=key).job_id for args, key in jobs]
    wait_until(lambda: len(trial.progress.look().starts) == KEYS, "all run", limit_s=LIMIT_S)

    # When one is added, and then the old ones leave one after the other, under short jobs too
    trial.fleet.start()
    ids += [
        shop.steady.enqueue(shop.Work(n, key=f"k{n}", ms=50), key=f"k{n}").job_id
        for n in range(KEYS)
    ]
    for leaving in old:
        assert trial.fleet.drain(leaving) == 0
        ids += shop.steady.enqueue_many(shop.Work(n, ms=20) for n in range(50))
    trial.wait_until_quiet()

    # Then every job had one start, and no key had two runs at once
    found = trial.audit(ids)
    say(found)
    assert (found.done, found.lost, found.reruns) == (len(ids), 0, 0), found.findings
    assert len(runs_of(trial)) == len(ids)
    assert overlaps(trial) == []


def test_a_thread_that_was_cut_is_not_run_beside_itself(
    kafka: RunningKafka, new_trial: NewTrial, say: Say
) -> None:
    # Given a worker that runs jobs in threads, longer than a partition that moves may keep it
    trial, shop = new_trial(
        kafka.bootstrap_servers,
        JOBSTREAM_SESSION_TIMEOUT="3s",
        JOBSTREAM_REBALANCE_DRAIN="1s",
    )
    first = trial.fleet.start()
    # On a busy machine it takes longer to start than the jobs may take: it waits at the door.
    joined = trial.fleet.start({"TRIAL_DOOR": "door"})
    wait_until(lambda: serves(first), "it serves", limit_s=LIMIT_S)
    wait_until((shop.FOLDER / "waits").exists, "the other one is there", limit_s=LIMIT_S)
    # In both queues: which partitions are to move is the group's affair.
    kinds = {"m": shop.stubborn, "o": shop.mulish}
    keyed = [(kind, f"{name}{n}") for name, kind in kinds.items() for n in range(KEYS)]
    ids = [kind.enqueue(shop.Work(0, key=key, until="gate"), key=key).job_id for kind, key in keyed]
    wait_until(lambda: len(trial.progress.look().starts) == len(keyed), "all run", limit_s=LIMIT_S)
    ids += [shop.steady.enqueue(shop.Work(0, key=f"m{n}"), key=f"m{n}").job_id for n in range(KEYS)]

    # When another one joins, gets partitions, and only then the jobs may end
    (shop.FOLDER / "door").touch()
    wait_until(lambda: serves(joined), "the other one serves", limit_s=LIMIT_S)
    (shop.FOLDER / "gate").touch()
    trial.wait_until_quiet()

    # Then some were cut, and started anew only when their first run was over, as did their keys
    say(f"{len(runs_of(trial))} starts of {len(ids)} jobs")
    again = [s for s, _ in runs_of(trial) if s.pid == joined.pid and s.name != "steady"]
    assert again
    limit_ms = trial.app.specs()["stubborn"].timeout_ms
    firsts = {s.job_id: s.at_ms for s, _ in reversed(runs_of(trial))}
    assert all(start.at_ms - firsts[start.job_id] >= limit_ms for start in again)
    assert trial.audit(ids).lost == 0
    assert overlaps(trial) == []
