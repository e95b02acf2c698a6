"""A small app on a real broker: one partition of each rung carries what four of the queue send."""

from __future__ import annotations

import uuid
from collections import Counter
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from tests.harness.served import Served
from tests.harness.waiting import wait_until

from jobstream import App, Backoff, Context, Dead, Job
from jobstream.kafka.client.admin import Admin
from jobstream.topics.apply import apply, survey
from jobstream_processors.core.headers import Carried, render
from jobstream_schemas import Meta

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from jobstream.broker import EmbeddedKafka

pytestmark = pytest.mark.kafka
LIMIT_S = 180.0
LONG_AGO_MS = 1_000
NO_USE = "nothing will help"


@dataclass(frozen=True)
class Number:
    n: int


class Small:
    """A small app of one queue, and what its handlers ran."""

    def __init__(
        self, name: str, servers: str, folder: Path, rungs: Mapping[str, int] | None = None
    ) -> None:
        self.app = App(
            name,
            size="small",
            bootstrap_servers=servers,
            state_dir=folder,
            metrics_port="off",
            drain="5s",
        )
        self.queue = self.app.queue("mail", rungs=rungs)
        self.ran: Counter[int] = Counter()

        @self.app.job(queue=self.queue)
        async def work(args: Number) -> None:
            self.ran[args.n] += 1

        @self.app.job(queue=self.queue, retry=Backoff(attempts=3, first="1s"))
        async def flaky(args: Number, ctx: Context) -> None:
            self.ran[args.n] += 1
            if ctx.attempt == 1:
                raise OSError

        @self.app.job(queue=self.queue)
        async def hopeless(_args: Number) -> None:
            raise Dead(NO_USE)

        self.work: Job[Number, object] = work
        self.flaky: Job[Number, object] = flaky
        self.hopeless: Job[Number, object] = hopeless

    def overdue(self, destination: int) -> tuple[bytes, Carried]:
        """A job of the number `destination` that waited long enough and goes to that partition."""
        meta = Meta(id=str(uuid.uuid4()), enqueued_at=1, source="test")
        value = self.work.codec.encode(meta, Number(destination))
        return value, Carried(due_ms=LONG_AGO_MS, partition=destination)


@pytest.fixture
def name() -> str:
    return f"small-{uuid.uuid4().hex[:8]}"


def test_a_small_app_retries_delays_and_buries(
    kafka: EmbeddedKafka, tmp_path: Path, name: str
) -> None:
    small = Small(name, kafka.bootstrap_servers, tmp_path)
    plan = small.app.plan(small.queue)
    with Served(small.app) as served:
        later = small.work.enqueue(Number(100), delay="6s").job_id
        again = small.flaky.enqueue(Number(101), key="k").job_id
        dead = small.hopeless.enqueue(Number(102)).job_id
        for number, (topic, _) in enumerate(plan.rungs.values()):
            value, carried = small.overdue(number % plan.partitions)
            served.put(topic, value, headers=render(carried))

        assert served.end_of(again) == "done"
        assert served.end_of(later) == "done"
        assert served.letter_of(dead).told("message") == NO_USE
        wait_until(lambda: sum(small.ran.values()) >= 11, "all rungs are read", limit_s=LIMIT_S)
        came = {
            partition: sum(1 for r in served.records(plan.topic, 4) if r.partition() == partition)
            for partition in range(4)
        }
        states = Admin(small.app.settings).describe(
            [plan.topic, plan.dlq, plan.dedup, *(topic for topic, _ in plan.rungs.values())]
        )

    assert small.ran == Counter({100: 1, 101: 2, **dict.fromkeys(range(4), 2)})
    assert all(count >= 2 for count in came.values()), "each came to the partition that it names"
    assert Counter(state.partitions for state in states.values()) == {4: 3, 1: 8}


@pytest.mark.parametrize(("was", "now"), [(1, 3), (3, 1)], ids=["more", "fewer"])
def test_a_rung_may_change_its_count_while_jobs_wait_there(
    kafka: EmbeddedKafka, tmp_path: Path, name: str, was: int, now: int
) -> None:
    old = Small(name, kafka.bootstrap_servers, tmp_path, {"1h": was})
    topic, _ = old.app.plan(old.queue).rungs["1h"]
    with closing(Served(old.app)) as served:
        for number in range(3):
            value, carried = old.overdue(number)
            served.put(topic, value, partition=number % was, headers=render(carried))

    new = Small(name, kafka.bootstrap_servers, tmp_path, {"1h": now})
    admin = Admin(new.app.settings)
    apply(survey(admin, name, [new.queue], new.app.settings), admin)
    with Served(new.app) as served:
        value, carried = new.overdue(3)
        served.put(topic, value, partition=now - 1, headers=render(carried))
        wait_until(lambda: len(new.ran) == 4, "all ran", limit_s=LIMIT_S)

    assert new.ran == Counter(range(4))
    assert admin.describe([topic])[topic].partitions == 3
