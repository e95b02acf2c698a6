"""A partition with a million rows in its table serves again soon after its worker was killed."""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from confluent_kafka import Producer
from tests.harness.waiting import wait_until

from jobstream.broker.embedded import EmbeddedKafka
from jobstream_schemas import done_key, encode_done

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    from tests.harness.fleet import Member
    from tests.harness.trial import Trial

    from jobstream import Queue
    from jobstream.broker.fixture import RunningKafka

    NewTrial = Callable[..., tuple[Trial, ModuleType]]
    Say = Callable[[object], None]

pytestmark = pytest.mark.kafka

ROWS = 1_000_000
BATCH = 10_000
JOBS = 600
SERVES_S_MAX = 15.0
LIMIT_S = 300.0


def fill(bootstrap: str, topic: str) -> None:
    """Write rows of jobs that were done, as a worker does."""
    options = {"acks": "all", "linger.ms": 20, "queue.buffering.max.messages": 200_000}
    producer = Producer({"bootstrap.servers": bootstrap, **options})
    now_ms = time.time_ns() // 1_000_000
    for start in range(0, ROWS, BATCH):
        left = [
            {
                "key": done_key(f"00000000-0000-7000-8000-{number:012}", 0),
                "value": encode_done(
                    bytes(8), bytes(8), f"00000000-0000-7000-8000-{number:012}", 0, 1, now_ms
                ),
            }
            for number in range(start, start + BATCH)
        ]
        while left:
            producer.produce_batch(topic, left, 0)
            left = [row for row in left if row.pop("_error", None) is not None]
            producer.poll(0.01)
    assert producer.flush(LIMIT_S) == 0


def waits(pid: int) -> dict[str, float]:
    """By thread of a process: seconds it was ready to run while others had the machine's CPUs."""
    found = {}
    for task in Path(f"/proc/{pid}/task").iterdir():
        with suppress(OSError):  # Linux tells: ns on a CPU, ns ready and waiting, turns
            found[task.name] = int((task / "schedstat").read_text().split()[1]) / 1e9
    return found


class Waiting:
    """How long a busy machine held up some processes, each by its thread that waited longest."""

    def __init__(self, pids: list[int]) -> None:
        self._before = {pid: waits(pid) for pid in pids}

    def held_up_s(self) -> float:
        """Since this was made; one process waits for the other, so their times add up."""
        return sum(
            max(now - before.get(task, 0.0) for task, now in waits(pid).items())
            for pid, before in self._before.items()
        )


def started_by(trial: Trial, member: Member) -> bool:
    """Whether a job started in it, or in a child of it."""
    return trial.progress.look().pids.get(member.pid, 0) > 0


def newcomer(trial: Trial, shop: ModuleType) -> Member:
    """A worker with a disk of its own, once it serves something."""
    state = shop.FOLDER / f"state-{len(trial.fleet.members)}"
    member = trial.fleet.start({"JOBSTREAM_STATE_DIR": str(state)})
    wait_until(lambda: b"partition_served" in member.log.read_bytes(), "it serves", limit_s=LIMIT_S)
    return member


def owner_and_stranger(trial: Trial, shop: ModuleType) -> tuple[Member, Member, Queue]:
    """Two workers and a queue: its only partition is the first one's, the second never had it.

    The group's assignor decides by topic ids which queue the first worker keeps.
    """
    owner, stranger = newcomer(trial, shop), newcomer(trial, shop)
    moved = stranger.log.read_text()
    (kept,) = (
        queue for queue in (shop.mail, shop.orders) if trial.app.plan(queue).topic not in moved
    )
    return owner, stranger, kept


def test_partition_serves_again_within_15_seconds(
    kafka: EmbeddedKafka | RunningKafka, new_trial: NewTrial, say: Say
) -> None:
    trial, shop = new_trial(
        kafka.bootstrap_servers, TRIAL_PARTITIONS="1", JOBSTREAM_CONCURRENCY="10"
    )
    victim, heir, queue = owner_and_stranger(trial, shop)
    fill(kafka.bootstrap_servers, trial.app.plan(queue).dedup)
    job_type = {shop.mail: shop.plain, shop.orders: shop.holding}[queue]
    ids = job_type.enqueue_many(shop.Work(n, ms=20) for n in range(JOBS))
    wait_until(lambda: trial.progress.look().ends > JOBS // 5, "a fifth has ended", limit_s=LIMIT_S)
    # The one that restores, and the one that it reads from.
    brokers = kafka.pids if isinstance(kafka, EmbeddedKafka) else []
    waiting = Waiting([heir.pid, *brokers])
    kill = trial.fleet.kill(victim)
    wait_until(lambda: started_by(trial, heir), "the heir serves", limit_s=LIMIT_S)
    waited = waiting.held_up_s()
    first = min(e.at_ms for e in trial.ledger if heir.pid in (e.pid, e.parent))
    trial.wait_until_quiet()

    seconds = (first - kill.at_ms) / 1000
    found = trial.audit(ids)
    say(
        f"served again {seconds:.1f} s after the kill, {waited:.1f} s of them held up by others; "
        f"{ROWS} rows restored; {found}"
    )
    assert seconds - waited < SERVES_S_MAX
    assert (found.lost, found.doubled) == (0, 0), found.findings
    assert found.dead == sum(map(shop.is_permanent, range(JOBS)))
