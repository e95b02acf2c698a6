"""Topics as operators treat them, under a worker in memory: made anew, grown, cut, taken away."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from jobstream import App
from jobstream.testing import MemoryJobs, memory

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jobstream import Job


@dataclass(frozen=True)
class Number:
    n: int


class Shop:
    """An app in memory with one queue of one partition, and what its handler ran."""

    def __init__(self) -> None:
        self.app = App("shop")
        self.queue = self.app.queue("mail", partitions=1)
        self.ran: Counter[int] = Counter()
        self.jobs: MemoryJobs

        @self.app.job(queue=self.queue)
        async def work(args: Number) -> None:
            self.ran[args.n] += 1

        @self.app.job(queue=self.queue)
        async def stuck(args: Number) -> None:
            self.ran[-args.n] += 1

        self.work: Job[Number, object] = work
        self.stuck: Job[Number, object] = stuck

    def enqueue(self, *numbers: int) -> None:
        for n in numbers:
            self.work.enqueue(Number(n))

    def pass_s(self, seconds: int) -> None:
        """Let time pass in steps, so that what is looked at once a second is."""
        for _ in range(seconds):
            self.jobs.run_for("1s")


@pytest.fixture
def shop() -> Iterator[Shop]:
    made = Shop()
    with memory(made.app) as jobs:
        made.jobs = jobs
        yield made


def test_a_queue_made_anew_under_a_worker_loses_none_of_its_new_jobs(shop: Shop) -> None:
    shop.enqueue(*range(20))
    shop.pass_s(3)

    shop.jobs.broker.recreate_topic(shop.app.plan(shop.queue).topic)
    shop.enqueue(*range(100, 130))
    shop.pass_s(3)

    assert shop.ran == Counter([*range(20), *range(100, 130)]), "each once: rows absorb the rest"


def test_a_dedup_topic_made_anew_runs_nothing_again_and_keeps_what_comes_next(
    shop: Shop,
) -> None:
    dedup = shop.app.plan(shop.queue).dedup
    shop.enqueue(*range(20))
    shop.pass_s(3)

    shop.jobs.broker.recreate_topic(dedup)
    shop.pass_s(3)
    shop.enqueue(*range(20, 30))
    shop.pass_s(3)

    assert shop.ran == Counter(range(30))
    kinds = [(record.key() or b"").split(b":")[0] for record in shop.jobs.broker.records(dedup)]
    assert kinds[0] == b"claim", "the owner claimed in the new one"
    assert len(kinds) == 11


def test_a_pause_longer_than_the_dedup_window_runs_nothing_again(shop: Shop) -> None:
    jobs, dedup = shop.jobs, shop.app.plan(shop.queue).dedup
    shop.app.control.pause(job=shop.stuck, for_="7d", why="its provider is down")
    for n in range(900):
        shop.stuck.enqueue(Number(n))
        shop.enqueue(n)
    shop.pass_s(3)
    jobs.run_for("37h")
    jobs.broker.truncate(dedup, 0, jobs.broker.span((dedup, 0))[1])

    jobs.restart()
    shop.pass_s(3)

    assert shop.ran == Counter(range(900))


@pytest.mark.parametrize("kind", ["topic", "dlq", "dedup"])
def test_a_topic_that_is_deleted_for_good_stops_its_own_queue_alone(shop: Shop, kind: str) -> None:
    other = shop.app.queue("other", partitions=1)
    with memory(shop.app) as shop.jobs:  # Anew, as it has another queue.
        shop.pass_s(3)
        shop.jobs.broker.delete_topic(getattr(shop.app.plan(other), kind))

        for n in (1, 2):
            shop.enqueue(n)
            shop.pass_s(3)

    assert shop.ran == Counter([1, 2])
