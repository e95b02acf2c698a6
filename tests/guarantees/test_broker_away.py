"""The only broker is away, dead or frozen, for longer than anything in a worker waits for it."""

from __future__ import annotations

import http.client
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from tests.harness.waiting import wait_until

from jobstream.broker.embedded import EmbeddedKafka
from jobstream.kafka.consume.hearing import HEAR_MS_MAX
from jobstream.observe.targets import folder_of, living
from jobstream.testing.ledger import now_ms

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import ModuleType

    from tests.harness.trial import Trial

    NewTrial = Callable[..., tuple[Trial, ModuleType]]
    Say = Callable[[object], None]

pytestmark = pytest.mark.kafka

FAIL_OVER_S, STALL_S = 32.0, 62.0
"""Longer than a worker waits for the ends of a log, and for the records of one."""
LIMIT_S = 300.0
SESSION_MS = 6_000


@pytest.fixture(scope="module")
def fragile() -> Iterator[EmbeddedKafka]:
    """A broker of this module's own; each test repairs it."""
    with EmbeddedKafka() as broker:
        yield broker


@contextmanager
def away(broker: EmbeddedKafka, how: str) -> Iterator[None]:
    (broker.kill if how == "killed" else broker.freeze)(1)
    try:
        yield
    finally:
        (broker.restart if how == "killed" else broker.thaw)(1)


def probe(trial: Trial, path: str) -> int:
    """What the only worker answers; 0 while there is none."""
    targets = living(folder_of(trial.app.settings.state_dir, trial.app.name))
    if not targets:
        return 0
    (target,) = targets
    connection = http.client.HTTPConnection(target.address, timeout=LIMIT_S)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    finally:
        connection.close()


@pytest.mark.parametrize(("how", "away_s"), [("killed", FAIL_OVER_S), ("frozen", STALL_S)])
def test_worker_and_delayer_wait_for_it_and_go_on(
    how: str, away_s: float, fragile: EmbeddedKafka, new_trial: NewTrial, say: Say
) -> None:
    # Given jobs that run, that wait for their turn, for a retry or for their time
    trial, shop = new_trial(fragile.bootstrap_servers)
    worker = trial.fleet.start()
    served, places = b"partition_served", len(trial.queue_places)
    wait_until(
        lambda: worker.log.read_bytes().count(served) == places, "it serves", limit_s=LIMIT_S
    )
    rungs = trial.rung_places
    wait_until(
        lambda: min(trial.standings()[rung].committed for rung in rungs) >= 0,
        "so does the delayer",
        limit_s=LIMIT_S,
    )
    ids = shop.steady.enqueue_many((shop.Work(n) for n in range(300)), delay="8s")
    ids += shop.plain.enqueue_many(shop.Work(n) for n in range(300))
    keyed = (shop.Work(n, f"k{n % 5}", ms=20) for n in range(300))
    ids += shop.holding.enqueue_many(keyed, key=lambda args: args.key)
    ids += shop.steady.enqueue_many(shop.Work(n, ms=3_000) for n in range(20))
    ids += shop.steady.enqueue_many(shop.Work(n, ms=400) for n in range(4_000))
    wait_until(lambda: trial.progress.look().ends > 100, "jobs run", limit_s=LIMIT_S)

    # When the broker is away for as long, then the process says that it is not ready, and lives
    with away(fragile, how):
        silent_ms = now_ms() + SESSION_MS + HEAR_MS_MAX
        over, alive = time.monotonic() + away_s, set[int]()
        wait_until(lambda: probe(trial, "/readyz") == 503, "it is not ready", limit_s=LIMIT_S)

        def is_over() -> bool:
            alive.add(probe(trial, "/livez"))
            return time.monotonic() > over

        wait_until(is_over, "it was away for long", limit_s=2 * away_s, every_s=1.0)
        back_ms = now_ms()
    back = time.monotonic()

    def is_ready() -> bool:
        trial.replace_left()
        return probe(trial, "/readyz") == 200

    # And when it is back, every job ends, once
    wait_until(is_ready, "it is ready again", limit_s=LIMIT_S)
    trial.wait_until_quiet()
    say(f"{how} for {away_s:.0f} s; quiet {time.monotonic() - back:.0f} s after it was back")
    found = trial.audit(ids, hold_key=["holding"])
    say(found)
    if worker.left_unanswered:  # A client may lose its brokers for good.
        say("one of its clients got no answer for long: it was replaced")
    else:
        assert worker.exit_code is None, worker.tail()
    assert alive == {200}
    starts = [entry for entry in trial.ledger if entry.kind == "start"]
    begun = [entry for entry in starts if silent_ms < entry.at_ms < back_ms]
    assert begun == [], "after a session of silence nothing begins"
    isolated = [entry for entry in starts if entry.parent == worker.pid]
    assert isolated == [], "a worker that lives suspects none of its own jobs"
    assert (found.lost, found.doubled, found.order_violations) == (0, 0, 0), found.findings


def test_a_worker_that_takes_partitions_over_waits_or_is_started_anew(
    fragile: EmbeddedKafka, new_trial: NewTrial, say: Say
) -> None:
    trial, shop = new_trial(fragile.bootstrap_servers)
    ids = shop.steady.enqueue_many(shop.Work(n) for n in range(300))
    worker = trial.fleet.start()
    wait_until(
        lambda: b"partition_restored" in worker.log.read_bytes(), "it begins", limit_s=LIMIT_S
    )

    with away(fragile, "killed"):
        over = time.monotonic() + FAIL_OVER_S
        wait_until(lambda: time.monotonic() > over, "it was away for long", limit_s=2 * FAIL_OVER_S)

    def serves_or_ends() -> bool:
        served = worker.log.read_bytes().count(b"partition_served")
        return served >= len(trial.queue_places) or worker.exit_code is not None

    wait_until(serves_or_ends, "it goes on, or ends", limit_s=LIMIT_S)
    say("it waited" if worker.exit_code is None else f"it ended with {worker.exit_code}")
    if worker.exit_code is not None:  # A supervisor starts it again.
        assert worker.exit_code > 0
        trial.fleet.died(worker)
        trial.fleet.start()
    trial.wait_until_quiet()
    found = trial.audit(ids)
    assert (found.done, found.lost, found.doubled) == (300, 0, 0), found.findings
