"""Each tick of a schedule becomes one job, and none before its time, whatever befalls owners."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from itertools import count
from random import Random
from typing import TYPE_CHECKING

import pytest
from tests.simulation import troubles
from tests.simulation.mutations import put
from tests.simulation.world import Verdict, play

from jobstream_processors.schedule import scheduler
from jobstream_processors.schedule.scheduler import Scheduler
from jobstream_processors.schedule.timetable import OwnedSchedule

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from jobstream_processors.core.ticks import Due
    from jobstream_processors.schedule.acts import Firing

SEEDS, SEEDS_MAX, SHOWN_MAX = 60, 30, 5


def scheduled(seed: int) -> Verdict:
    """Few other jobs; every fourth seed in quiet."""
    plan = replace(troubles.drawn(Random(seed)), ticks=True, jobs=8, length_s=40.0)
    return play(seed, trouble=replace(plan, kinds=frozenset()) if seed % 4 == 0 else plan)


def test_each_tick_is_one_job_and_none_is_early() -> None:
    wrong = {seed: found for seed in range(SEEDS) if (found := scheduled(seed).wrong)}

    assert not wrong, f"{len(wrong)} seeds: {list(wrong.items())[:SHOWN_MAX]}"


@contextmanager
def ticks_that_hurry() -> Iterator[None]:
    """Whoever is awake for one tick fires those that come in the next seconds, too."""
    due = OwnedSchedule.due

    def soon(self: OwnedSchedule, now_ms: int) -> tuple[Due | None, bool]:
        return due(self, now_ms + 8_000)

    with put((OwnedSchedule, "due", soon)):
        yield


@contextmanager
def places_without_jobs() -> Iterator[None]:
    """A schedule goes on though no broker has acknowledged the job of its tick."""
    publish = Scheduler._publish  # noqa: SLF001 - what is taken out

    def careless(self: Scheduler, firings: list[Firing]) -> set[str]:
        publish(self, firings)
        return set()

    with put((Scheduler, "_publish", careless)):
        yield


@contextmanager
def ids_of_their_own() -> Iterator[None]:
    """Whoever fires a tick makes a job of its own of it."""
    numbers = count()

    def another(schedule: str, tick_ms: int) -> str:
        return f"{schedule}-{tick_ms}-{next(numbers)}"

    with put((scheduler, "from_tick", another)):
        yield


@pytest.mark.pure("puts faults back by patching what is compiled")
@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (ticks_that_hurry, "ms early"),
        (places_without_jobs, "no job came of"),
        (ids_of_their_own, "became two jobs"),
    ],
)
def test_a_scheduler_with_a_fault_is_found(
    fault: Callable[[], AbstractContextManager[None]], said: str, say: Callable[[object], None]
) -> None:
    for seed in range(SEEDS_MAX):
        with fault():
            found = [each for each in scheduled(seed).wrong if said in each]
        if found:
            say(f"found in seed {seed}: {found[0]}")
            assert not scheduled(seed).wrong
            return
    pytest.fail(f"not found in {SEEDS_MAX} seeds")
