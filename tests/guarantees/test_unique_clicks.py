"""Everybody clicks twice while workers are killed: one effect a key, and losers name the winner."""

from __future__ import annotations

import time
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from tests.harness.waiting import wait_until

from jobstream_processors.core.known import DEAD, DONE, DUPLICATE

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    from tests.harness.trial import Trial

    from jobstream import Job
    from jobstream.broker.embedded import EmbeddedKafka

    NewTrial = Callable[..., tuple[Trial, ModuleType]]
    Say = Callable[[object], None]

pytestmark = pytest.mark.kafka

KEYS = 5_000
PRODUCERS = 8
KILLS = 6
LIMIT_S = 300.0
SETTINGS = {"JOBSTREAM_CONCURRENCY": "50", "JOBSTREAM_WINDOW": "200"}
Clicks = dict[int, list[str]]
"""By key: the ids that the enqueues of it returned."""


def click(job: Job[object, object], shop: ModuleType, numbers: range) -> Clicks:
    """Eight producers at once; each key is clicked by two of them."""
    found: Clicks = defaultdict(list)

    def produce(number: int) -> list[tuple[int, str]]:
        mine = [n for n in numbers if number in {n % PRODUCERS, (n // 3 + 1) % PRODUCERS}]
        mine += [n for n in mine if n % PRODUCERS == (n // 3 + 1) % PRODUCERS]
        works = [shop.Work(n, ms=2) for n in mine]
        return list(zip(mine, job.enqueue_many(works), strict=True))

    with ThreadPoolExecutor(PRODUCERS) as producers:
        for part in producers.map(produce, range(PRODUCERS)):
            for number, job_id in part:
                found[number].append(job_id)
    return found


def kill_as_they_go(trial: Trial, ends: int) -> None:
    """One worker after the other, each replaced at once, spread over all that is to be done."""
    for _ in range(3):
        trial.fleet.start()
    for number in range(KILLS):
        reached = ends * (number + 1) // (KILLS + 2)
        wait_until(
            lambda reached=reached: trial.progress.look().ends >= reached,  # type: ignore[misc]
            f"{reached} runs have ended",
            limit_s=LIMIT_S,
        )
        trial.fleet.kill(trial.fleet.alive[0])
        trial.fleet.start()
    trial.wait_until_quiet()


def ends_of(trial: Trial) -> dict[str, tuple[str, str]]:
    """By id: the state that ended it, and the detail of its row."""
    found: dict[str, tuple[str, str]] = {}
    for row, _ in trial.rows():
        if row.kind == "job" and found.get(row.id, ("",))[0] != DONE:
            found[row.id] = (row.state, row.detail)
    return found


def test_one_effect_a_key_and_every_loser_names_its_winner(
    kafka: EmbeddedKafka, new_trial: NewTrial, say: Say
) -> None:
    began = time.monotonic()
    trial, shop = new_trial(kafka.bootstrap_servers, **SETTINGS)
    # All clicks of a key are in the log before its holder is done.
    clicks = click(shop.clicked, shop, range(KEYS))
    assert {len(ids) for ids in clicks.values()} == {2}
    assert sum(len(set(ids)) for ids in clicks.values()) == 2 * KEYS

    kill_as_they_go(trial, KEYS)
    trial.fleet.drain_all()

    states = ends_of(trial)
    found = trial.audit([job_id for ids in clicks.values() for job_id in ids])
    say(f"{found} in {time.monotonic() - began:.0f} s")
    wrong = []
    for number, ids in clicks.items():
        winners = [each for each in ids if states[each][0] in {DONE, DEAD}]
        losers = [each for each in ids if states[each][0] == DUPLICATE]
        expected = DEAD if shop.is_permanent(number) else DONE
        if (
            len(winners) != 1
            or len(losers) != 1
            or states[winners[0]][0] != expected
            or states[losers[0]][1] != f"of {winners[0]}"
        ):
            wrong.append((number, [(each, states[each]) for each in ids]))
    assert wrong == []
    assert (found.lost, found.doubled) == (0, 0), found.findings
    assert found.other == KEYS
    assert len(trial.fleet.kills) == KILLS
    assert found.reruns > 0, "the kills cut nothing off"


def test_within_a_window_both_clicks_are_one_job(
    kafka: EmbeddedKafka, new_trial: NewTrial, say: Say
) -> None:
    trial, shop = new_trial(kafka.bootstrap_servers, **SETTINGS)
    clicks = click(shop.clicked_within, shop, range(KEYS))
    if any(len(set(ids)) > 1 for ids in clicks.values()):
        pytest.skip("the window changed in between")
    kill_as_they_go(trial, KEYS)
    trial.fleet.drain_all()

    found = trial.audit([ids[0] for ids in clicks.values()])
    say(found)
    assert (found.lost, found.doubled, found.other) == (0, 0, 0), found.findings
    assert found.done + found.dead == KEYS
