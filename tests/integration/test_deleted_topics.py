"""A topic is deleted under a worker and not made again: what does not need it goes on."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from confluent_kafka.admin import AdminClient
from tests.harness.served import Served
from tests.harness.waiting import wait_until

from jobstream import App

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from jobstream import Job
    from jobstream.broker.embedded import EmbeddedKafka
    from jobstream.settings import GroupProtocol

    NewShop = Callable[[GroupProtocol], "Shop"]

pytestmark = pytest.mark.kafka

LIMIT_S = 180.0


@dataclass(frozen=True)
class Work:
    text: str


class Shop:
    """Two queues that are served by one process, and what ran of the one that stays."""

    def __init__(self, kafka: EmbeddedKafka, folder: Path, protocol: GroupProtocol) -> None:
        self.kafka = kafka
        self.app = App(
            f"deleted-{uuid.uuid4().hex[:8]}",
            bootstrap_servers=kafka.bootstrap_servers,
            state_dir=folder,
            commit_interval="200ms",
            group_protocol=protocol,
        )
        self.ran: list[str] = []
        stays = self.app.queue("stays", partitions=1)
        goes = self.app.queue("goes", partitions=2)

        @self.app.job(queue=stays)
        async def work(args: Work) -> None:
            self.ran.append(args.text)

        @self.app.job(queue=goes)
        async def lost(args: Work) -> None:
            self.ran.append(args.text)

        self.work: Job[Work, object] = work
        self.lost: Job[Work, object] = lost
        self.plan = self.app.plan(goes)

    def delete(self, topic: str) -> None:
        client = AdminClient({"bootstrap.servers": self.kafka.bootstrap_servers})
        client.delete_topics([topic])[topic].result(60)

    def runs(self, text: str) -> None:
        """Enqueue a job to the queue that stays, and wait until it runs."""
        self.work.enqueue(Work(text))
        wait_until(lambda: text in self.ran, f"{text} runs", limit_s=LIMIT_S)


@pytest.fixture
def new_shop(kafka: EmbeddedKafka, tmp_path: Path) -> NewShop:
    return lambda protocol: Shop(kafka, tmp_path, protocol)


def named(caplog: pytest.LogCaptureFixture) -> list[object]:
    """The topics of which the log says that they were deleted."""
    found = [record for record in caplog.records if record.message == "topic_deleted"]
    return [vars(record)["topic"] for record in found]


@pytest.mark.parametrize(
    ("kind", "protocol"), [("queue", "classic"), ("rung", "consumer"), ("dedup", "consumer")]
)
def test_what_does_not_need_a_deleted_topic_goes_on_and_the_topic_is_named_once(
    new_shop: NewShop, caplog: pytest.LogCaptureFixture, kind: str, protocol: GroupProtocol
) -> None:
    shop = new_shop(protocol)
    (rung, _), *_ = shop.plan.rungs.values()
    topic = {"queue": shop.plan.topic, "rung": rung, "dedup": shop.plan.dedup}[kind]
    with Served(shop.app) as served:
        shop.lost.enqueue(Work("before"))
        shop.runs("first")
        wait_until(lambda: "before" in shop.ran, "both queues are served", limit_s=LIMIT_S)

        shop.delete(topic)
        wait_until(lambda: named(caplog) == [topic], "it is named", limit_s=LIMIT_S)
        for number in range(5):
            shop.runs(f"after {number}")
        served.stop()

    assert named(caplog) == [topic]
