"""A queue that is given more partitions: nothing settled runs again, nothing that waits is lost."""

from __future__ import annotations

import uuid
from collections import Counter
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewPartitions
from tests.harness.served import Served
from tests.harness.waiting import wait_until

from jobstream import App, Job
from jobstream.errors import ConfigError, TopicMismatch
from jobstream.kafka.client.admin import Admin
from jobstream.kafka.client.broker_clock import BrokerClock
from jobstream.kafka.produce.sink import KafkaSink
from jobstream.operate.errors import GroupBusy, GrownMeanwhile, StillWaiting
from jobstream.operate.growth import Growth, grow, plan_growth, refuse_growth
from jobstream.operate.scan import unmoved
from jobstream.operate.view import AppView
from jobstream.topics.specs import specs
from jobstream_processors.core.partition import partition_for

if TYPE_CHECKING:
    from pathlib import Path

    from jobstream.broker import EmbeddedKafka
    from jobstream.operate.scan import Progress
    from jobstream.topics.sizes import SizeName

pytestmark = pytest.mark.kafka

JOBS = 40
LIMIT_S = 180.0


@dataclass(frozen=True)
class Number:
    n: int


class Code:
    """The app as one version of its code declares it, and what its handler ran."""

    def __init__(
        self,
        name: str,
        servers: str,
        folder: Path,
        partitions: int | None,
        size: SizeName = "standard",
    ) -> None:
        self.app = App(
            name,
            size=size,
            bootstrap_servers=servers,
            state_dir=folder,
            metrics_port="off",
            drain="5s",
        )
        self.queue = self.app.queue("mail", partitions=partitions)
        self.ran: Counter[int] = Counter()

        @self.app.job(queue=self.queue)
        async def work(args: Number) -> None:
            self.ran[args.n] += 1

        self.work: Job[Number, object] = work

    def enqueue(self, numbers: range) -> None:
        for n in numbers:
            self.work.enqueue(Number(n), idempotency_key=f"once-{n}")

    def view(self) -> AppView:
        return AppView(self.app.name, self.app.settings)

    def growth(self, was: int | None = None) -> Growth:
        declared = {s.name: s.partitions for s in specs(self.app.name, [self.queue], 1)}
        return plan_growth(self.view(), "mail", declared, was)

    def grow(self, *, accept_waiting: bool = False, progress: Progress = unmoved) -> int:
        view, planned = self.view(), self.growth()
        refuse_growth(view, planned, accept_waiting=accept_waiting)
        with closing(KafkaSink(view.options, BrokerClock())) as sink:
            return grow(view, Admin(self.app.settings), sink, planned, progress)


def test_a_queue_grows_and_remembers_what_it_has_settled(
    kafka: EmbeddedKafka, tmp_path: Path
) -> None:
    """Its app was small and becomes one of the standard size: its rungs grow along."""
    name, servers = f"grow-{uuid.uuid4().hex[:8]}", kafka.bootstrap_servers
    old = Code(name, servers, tmp_path, None, "small")
    with Served(old.app) as served:
        old.enqueue(range(JOBS))
        wait_until(lambda: len(old.ran) == JOBS, "the old code ran all", limit_s=LIMIT_S)
        new = Code(name, servers, tmp_path, None, "standard")
        with pytest.raises(TopicMismatch, match="--grow mail"):
            new.enqueue(range(1))
        with pytest.raises(GroupBusy):
            new.grow()
        served.stop()
        old.enqueue(range(JOBS, JOBS + 5))
        with pytest.raises(StillWaiting, match=f"5 in {name}.mail"):
            new.grow()
        served.start()
        wait_until(lambda: len(old.ran) == JOBS + 5, "nothing waits", limit_s=LIMIT_S)
    # An operator was faster, and a producer of another kind wrote to the new partitions.
    topic = old.app.plan(old.queue).topic
    client = AdminClient({"bootstrap.servers": servers})
    client.create_partitions([NewPartitions(topic, 12)])[topic].result(LIMIT_S)
    foreign = _written_by_java(new, topic)

    copied = new.grow()
    with Served(new.app):
        new.enqueue(range(JOBS + 10))
        wait_until(lambda: sum(new.ran.values()) >= 6, "the new code runs", limit_s=LIMIT_S)
        plan = new.app.plan(new.queue)
        rungs = [rung for rung, _ in plan.rungs.values()]
        counts = Admin(new.app.settings).describe([plan.topic, plan.dedup, plan.dlq, *rungs])

    assert copied == 2 * (JOBS + 5), "each row to both heirs of its partition"
    assert {state.partitions for state in counts.values()} == {12}
    assert new.ran == Counter([*range(JOBS + 5, JOBS + 10), foreign])
    with pytest.raises(ConfigError, match="nothing is left to grow"):
        new.growth()


def test_a_worker_that_came_up_while_rows_were_copied_is_told_and_a_second_run_copies_its_rows(
    kafka: EmbeddedKafka, tmp_path: Path
) -> None:
    """Whatever starts workers anew does not know of the growth."""
    name, servers = f"grow-{uuid.uuid4().hex[:8]}", kafka.bootstrap_servers
    old, new = Code(name, servers, tmp_path, 2), Code(name, servers, tmp_path, 4)
    came_up = False

    def runs_more(_done: int, _total: int) -> None:
        nonlocal came_up
        if not came_up:
            came_up = True
            served.start()
            old.enqueue(range(JOBS, 2 * JOBS))
            wait_until(lambda: len(old.ran) == 2 * JOBS, "the old code came up", limit_s=LIMIT_S)
            served.stop()

    with Served(old.app) as served:
        old.enqueue(range(JOBS))
        wait_until(lambda: len(old.ran) == JOBS, "the old code ran all", limit_s=LIMIT_S)
        served.stop()
        with pytest.raises(GroupBusy, match="grow it again"):
            new.grow(progress=runs_more)

    assert new.grow() == 2 * JOBS
    with Served(new.app):
        new.enqueue(range(2 * JOBS + 5))
        wait_until(lambda: len(new.ran) >= 5, "the new code runs", limit_s=LIMIT_S)

    assert new.ran == Counter(range(2 * JOBS, 2 * JOBS + 5))


def test_who_grows_a_queue_that_another_one_grows_is_told_so(
    kafka: EmbeddedKafka, tmp_path: Path
) -> None:
    name, servers = f"grow-{uuid.uuid4().hex[:8]}", kafka.bootstrap_servers
    with closing(Served(Code(name, servers, tmp_path, 2).app)):
        new = Code(name, servers, tmp_path, 4)
    second = new.view(), new.growth()
    new.grow()

    with (
        closing(KafkaSink(new.app.settings.client_options(), BrokerClock())) as sink,
        pytest.raises(GrownMeanwhile, match=f"another command has raised {name}.mail.dedup to 4"),
    ):
        grow(second[0], Admin(new.app.settings), sink, second[1])


def _written_by_java(code: Code, topic: str) -> int:
    """Write a job to a partition that the queue did not have, as its key has it now."""
    n = next(n for n in range(1_000, 2_000) if partition_for(b"key-%d" % n, 12) >= 4)
    codec = code.work.codec
    from jobstream_schemas import Meta  # noqa: PLC0415

    meta = Meta(str(uuid.uuid4()), 1, "java", f"key-{n}")
    with closing(KafkaSink(code.app.settings.client_options(), BrokerClock())) as sink:
        from jobstream_processors.ports import Outgoing  # noqa: PLC0415

        sink.publish([Outgoing(topic, b"key-%d" % n, codec.encode(meta, Number(n)))])
    return n


@pytest.mark.parametrize("declared", [3, 1])
def test_only_a_whole_multiple_can_be_grown_to(
    kafka: EmbeddedKafka, tmp_path: Path, declared: int
) -> None:
    name = f"grow-{uuid.uuid4().hex[:8]}"
    with closing(Served(Code(name, kafka.bootstrap_servers, tmp_path, 2).app)):
        new = Code(name, kafka.bootstrap_servers, tmp_path, declared)

        with pytest.raises(ConfigError, match="whole multiple of 2"):
            new.growth()
        with pytest.raises(ConfigError, match=f"has 5 partitions and declares {declared}"):
            new.growth(was=5)
