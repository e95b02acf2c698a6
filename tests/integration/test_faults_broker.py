"""A broker that is not there, goes away for a while, or has topics that do not fit."""

from __future__ import annotations

import asyncio
import time
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from confluent_kafka.admin import (  # type: ignore[attr-defined] # documented, not in __all__
    AdminClient,
    NewTopic,
)
from tests.harness.served import Served
from tests.harness.waiting import wait_until

from jobstream import (
    App,
    BrokerUnavailable,
    EnqueueError,
    EnqueuesFailed,
    EnqueueTimeout,
    QueueFull,
    TopicMismatch,
    TopicMissing,
    UnsafeTopic,
)
from jobstream.broker.embedded import EmbeddedKafka
from jobstream.kafka.produce.producer import KafkaTransport
from jobstream.roles.process import Roles
from jobstream_processors.ports import Outgoing

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from jobstream import Job

pytestmark = pytest.mark.kafka

NOBODY = "127.0.0.1:1"
LONG_S = 60
"""So long an enqueue waits that is to succeed on a busy machine."""


@dataclass(frozen=True)
class Work:
    text: str


@pytest.fixture(scope="module")
def fragile() -> Iterator[EmbeddedKafka]:
    """A broker of this module's own, to be frozen and killed; each test repairs it."""
    with EmbeddedKafka() as broker:
        yield broker


def new_app(bootstrap: str, folder: Path, name: str = "", **options: str) -> App:
    app = App(
        name or f"broker-{uuid.uuid4().hex[:8]}",
        bootstrap_servers=bootstrap,
        state_dir=folder,
        commit_interval="200ms",
        **options,  # type: ignore[arg-type] # names of settings
    )
    app.queue("default", partitions=2)
    return app


def create(kafka: EmbeddedKafka, *topics: NewTopic) -> None:
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap_servers})
    for created in admin.create_topics(list(topics)).values():
        created.result(180)


def enqueue_when_it_answers(work: Job[Work, object], text: str) -> str:
    """Repeat one enqueue, as a careful caller would, until it is acknowledged."""

    def enqueued() -> str:
        try:
            return work.enqueue(Work(text), idempotency_key=text).job_id
        except EnqueueTimeout:
            return ""

    return wait_until(enqueued, "the broker answers", limit_s=180)


def test_worker_without_a_broker_says_where_it_looked(tmp_path: Path) -> None:
    app = new_app(NOBODY, tmp_path)
    app.declare("work", Work)

    with pytest.raises(BrokerUnavailable, match=r"127\.0\.0\.1:1"):
        Roles(app).run()


def test_missing_topics_are_named_to_producer_and_worker(
    kafka: EmbeddedKafka, tmp_path: Path
) -> None:
    app = new_app(kafka.bootstrap_servers, tmp_path)
    work = app.declare("work", Work)

    with pytest.raises(TopicMissing, match="topics apply") as caught:
        work.enqueue(Work("x"))
    assert not caught.value.may_be_written
    with pytest.raises(TopicMissing, match=rf"{app.name}\.default"):
        Roles(app).run()
    app.close()


def test_a_topic_that_is_deleted_under_a_producer_is_named(
    kafka: EmbeddedKafka, tmp_path: Path
) -> None:
    """After half a minute: so long the client takes a topic that brokers deny for a new one."""
    app = new_app(kafka.bootstrap_servers, tmp_path, enqueue_timeout="500ms")
    work = app.declare("work", Work)
    with Served(app) as served:
        enqueue_when_it_answers(work, "before")
        served.stop()
        topic = f"{app.name}.default"
        client = AdminClient({"bootstrap.servers": kafka.bootstrap_servers})
        client.delete_topics([topic])[topic].result(180)

        def refused() -> EnqueueError | None:
            try:
                work.enqueue(Work("after"))
            except EnqueueTimeout:
                return None
            except EnqueueError as error:
                return error
            return None

        error = wait_until(refused, "the producer knows", limit_s=180)

    assert error is not None
    assert f"topic {topic} does not exist any more, or has fewer partitions" in str(error)
    assert not error.may_be_written


def test_wrong_partition_count_is_refused(kafka: EmbeddedKafka, tmp_path: Path) -> None:
    app = new_app(kafka.bootstrap_servers, tmp_path)
    work = app.declare("work", Work)
    create(kafka, NewTopic(f"{app.name}.default", 1, 1))

    with pytest.raises(TopicMismatch, match="partitions is 1, should be 2"):
        Served(app)
    with pytest.raises(TopicMismatch, match=r"has 1 partition,.*declare 1.*--grow"):
        work.enqueue(Work("x"))
    app.close()


def test_policy_that_loses_jobs_is_refused(kafka: EmbeddedKafka, tmp_path: Path) -> None:
    app = new_app(kafka.bootstrap_servers, tmp_path)
    app.declare("work", Work)
    create(
        kafka,
        NewTopic(
            f"{app.name}.default",
            2,
            1,
            config={"cleanup.policy": "compact", "message.timestamp.type": "LogAppendTime"},
        ),
    )

    with pytest.raises(UnsafeTopic, match="one job per key"):
        Served(app)


def test_worker_lives_through_a_broker_that_is_gone_for_a_while(
    fragile: EmbeddedKafka, tmp_path: Path
) -> None:
    app = new_app(fragile.bootstrap_servers, tmp_path, enqueue_timeout=f"{LONG_S}s")
    hasty = new_app(fragile.bootstrap_servers, tmp_path, app.name, enqueue_timeout="1s")
    hurries = hasty.declare("work", Work)
    done: list[str] = []

    @app.job
    async def work(args: Work) -> None:
        done.append(args.text)

    with Served(app) as served:
        ids = work.enqueue_many(Work(f"before {n}") for n in range(500))
        ids.append(enqueue_when_it_answers(hurries, "topics and schema are known"))
        wait_until(lambda: done, "it runs", limit_s=180)

        fragile.kill(1)
        begun_s = time.monotonic()
        with pytest.raises(EnqueueTimeout, match="may still be written"):
            hurries.enqueue(Work("meanwhile"), idempotency_key="meanwhile")
        assert time.monotonic() - begun_s < LONG_S / 2, "its own limit, and no other"
        with pytest.raises(EnqueuesFailed) as caught:
            hurries.enqueue_many(Work(f"meanwhile {n}") for n in range(1_000))
        assert caught.value.failed + caught.value.unknown == 1_000
        assert len(caught.value.failures) <= 100
        fragile.restart(1)

        ids.append(enqueue_when_it_answers(work, "meanwhile"))
        ids += work.enqueue_many(Work(f"after {n}") for n in range(500))
        assert {served.end_of(job_id) for job_id in ids} == {"done"}
    hasty.close()

    assert done.count("meanwhile") == 1
    assert len({text for text in done if not text.startswith("meanwhile ")}) == 1_002


def test_frozen_broker_is_a_timeout_and_the_loop_that_left_harms_nobody(
    fragile: EmbeddedKafka, tmp_path: Path
) -> None:
    app = new_app(fragile.bootstrap_servers, tmp_path, enqueue_timeout="1s")
    work = app.declare("work", Work)
    served = Served(app)
    enqueue_when_it_answers(work, "topics and schema are known")

    async def leave() -> None:
        waiting = asyncio.ensure_future(work.aenqueue(Work("left alone")))
        await asyncio.sleep(0)
        waiting.cancel()

    fragile.freeze(1)
    try:
        # Its answer comes when the loop is closed, on the thread that serves every other answer.
        asyncio.run(leave())
        with pytest.raises(EnqueueTimeout, match="same idempotency_key is safe") as caught:
            work.enqueue(Work("frozen"))
        assert caught.value.may_be_written
    finally:
        fragile.thaw(1)

    enqueue_when_it_answers(work, "thawed")
    served.close()


def fill(transport: KafkaTransport, record: Outgoing, answers: list[Exception | None]) -> None:
    while True:
        transport.submit(record, lambda error, _partition, _offset: answers.append(error))


def test_full_send_queue_says_that_nothing_was_written(
    fragile: EmbeddedKafka, tmp_path: Path
) -> None:
    app = new_app(fragile.bootstrap_servers, tmp_path, enqueue_timeout="500ms")
    work = app.declare("work", Work)
    served = Served(app)
    # A transport that gives up on nothing while the broker is frozen, so that it can fill up.
    transport = KafkaTransport(app.settings.client_options(), 120_000)
    app.bind(transport)
    enqueue_when_it_answers(work, "topics and schema are known")
    answers: list[Exception | None] = []

    fragile.freeze(1)
    try:
        with pytest.raises(QueueFull):
            fill(transport, Outgoing(f"{app.name}.schemas", b"filler", None), answers)
        with pytest.raises(QueueFull, match="not written") as caught:
            work.enqueue(Work("one too many"))
        with pytest.raises(QueueFull):
            asyncio.run(work.aenqueue(Work("one too many")))
    finally:
        fragile.thaw(1)

    assert not caught.value.may_be_written
    wait_until(lambda: len(answers) >= 100_000, "all that was taken is answered", limit_s=180)
    assert not [error for error in answers if error is not None]
    enqueue_when_it_answers(work, "there is room again")
    served.close()
