"""What a process asks of its brokers all its life leaves nothing behind in the client library."""

from __future__ import annotations

import gc
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from confluent_kafka import Uuid
from tests.harness.kafka_bench import KafkaBench

from jobstream.kafka.follow.topic_reader import KafkaLog
from jobstream.operate.cluster import ClusterReader

if TYPE_CHECKING:
    from collections.abc import Callable

    from jobstream.broker import EmbeddedKafka

pytestmark = pytest.mark.kafka

TIMES = 20


def ids_kept() -> int:
    gc.collect()
    return sum(type(each) is Uuid for each in gc.get_objects())


@pytest.mark.parametrize("who", ["worker", "exporter"])
def test_asking_for_the_ids_of_topics_again_and_again_keeps_none(
    kafka: EmbeddedKafka, who: str
) -> None:
    with closing(KafkaBench(kafka.bootstrap_servers)) as bench:
        topic = bench.topic()
        options = {"bootstrap.servers": kafka.bootstrap_servers}
        log, cluster = KafkaLog(options), ClusterReader(options)
        ask: Callable[[], object] = (
            (lambda: log.topic_id(topic, anew=True))
            if who == "worker"
            else (lambda: cluster.topic_ids([topic]))
        )
        found = ask()
        before = ids_kept()

        for _ in range(TIMES):
            assert ask() == found

        assert ids_kept() == before
