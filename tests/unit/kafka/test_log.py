"""What a reader asks of the cluster while brokers fail over: asked again, and in the end told."""

from __future__ import annotations

import threading
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from jobstream.errors import BrokerRefused, BrokerUnavailable
from jobstream.kafka.client import admin_calls as asking
from jobstream.kafka.follow import topic_reader as log_module
from jobstream.kafka.follow.topic_reader import KafkaLog

if TYPE_CHECKING:
    from confluent_kafka import Consumer, TopicCollection

    from jobstream_processors.ports import TopicPartition

NOBODY = "127.0.0.1:1"
LIMIT_S = 120.0


class Cluster:
    """Stands in for the client library's admin clients; `fails` are its first answers."""

    def __init__(self, *fails: int) -> None:
        self._fails = list(fails)
        self.asked = 0
        self.topic_id = "first"
        self.deleted: set[str] = set()

    def poll(self, _timeout: float) -> None: ...

    def describe_topics(self, topics: TopicCollection, request_timeout: float) -> dict[str, Any]:
        assert request_timeout > 0
        self.asked += 1
        answer: Future[Any] = Future()
        if self._fails:
            answer.set_exception(KafkaException(KafkaError(self._fails.pop(0), "so they say")))
        else:
            described = type("Described", (), {"topic_id": self.topic_id, "partitions": [0, 1]})
            answer.set_result(described)
        gone: Future[Any] = Future()
        missing = KafkaError(KafkaError.UNKNOWN_TOPIC_OR_PART, "so they say")
        gone.set_exception(KafkaException(missing))
        return {name: gone if name in self.deleted else answer for name in topics.topic_names}


def log_on(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> KafkaLog:
    monkeypatch.setattr(asking, "AdminClient", lambda _options: cluster)
    return KafkaLog({"bootstrap.servers": NOBODY}, wait_s=LIMIT_S)


@pytest.mark.parametrize("code", [KafkaError._TRANSPORT, KafkaError.LEADER_NOT_AVAILABLE])  # noqa: SLF001 - its name
def test_it_asks_again_while_a_broker_fails_over(
    code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = Cluster(code, code)
    log = log_on(cluster, monkeypatch)

    assert log.topic_id("mail") == "first"
    assert log.partitions("mail") == 2
    assert cluster.asked == 4


def test_an_id_is_remembered_unless_the_topic_may_be_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cluster = Cluster()
    log = log_on(cluster, monkeypatch)
    assert log.topic_id("mail") == "first"

    cluster.topic_id = "second"

    assert log.topic_id("mail") == "first"
    assert log.topic_id("mail", anew=True) == "second"
    assert log.topic_id("mail") == "second"


def test_a_topic_that_is_not_there_has_no_partitions_and_no_id(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    missing = KafkaError.UNKNOWN_TOPIC_OR_PART
    log = log_on(Cluster(missing, missing), monkeypatch)

    assert log.partitions("mail") == 0
    with pytest.raises(BrokerRefused, match="mail does not exist"):
        log.topic_id("mail")


def test_a_topic_that_is_deleted_is_named_once_and_one_look_is_no_proof(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    cluster = Cluster()
    log = log_on(cluster, monkeypatch)
    log.topic_id("mail")
    log.topic_id("rows")

    def look(*deleted: str) -> list[object]:
        cluster.deleted = set(deleted)
        log.topic_id("rows", anew=True)
        found = [record for record in caplog.records if record.message == "topic_deleted"]
        return [vars(record)["topic"] for record in found]

    assert look("mail") == []
    assert look() == []
    assert look("mail") == []
    assert look("mail") == ["mail"]
    assert look("mail") == ["mail"]
    assert log.known_id("mail") == "first", "another id is noticed once it is made anew"


def test_a_reader_gives_up_within_its_wait_and_says_why() -> None:
    log = KafkaLog({"bootstrap.servers": NOBODY, "log_level": 0}, wait_s=0.2)

    with pytest.raises(BrokerUnavailable, match=r"127\.0\.0\.1:1 within 0\.2 s"):
        log.topic_id("mail")
    with pytest.raises(BrokerUnavailable, match=r"mail \[0\] can't be read"):
        log.span(("mail", 0))


def test_a_question_that_is_not_answered_holds_up_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    log = log_on(Cluster(), monkeypatch)
    asked, answered = threading.Event(), threading.Event()

    def slow(consumer: Consumer, partition: TopicPartition, wait_s: float) -> tuple[int, int]:  # noqa: ARG001 - its shape
        if partition[1] == 0:
            asked.set()
            assert answered.wait(LIMIT_S)
        return 0, partition[1]

    monkeypatch.setattr(log_module, "_span", slow)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(log.span, ("mail", 0))
        assert asked.wait(LIMIT_S)

        assert log.span(("mail", 7)) == (0, 7)

        answered.set()
        assert first.result(LIMIT_S) == (0, 0)
    log.close()


def test_clients_that_many_questions_at_once_took_end_when_nobody_needs_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    log = log_on(Cluster(), monkeypatch)
    asked: set[Consumer] = set()
    together = threading.Barrier(3)

    def answer(consumer: Consumer, partition: TopicPartition, wait_s: float) -> tuple[int, int]:  # noqa: ARG001 - its shape
        asked.add(consumer)
        if partition[0] == "together":
            together.wait(LIMIT_S)
        return 0, 0

    monkeypatch.setattr(log_module, "_span", answer)
    monkeypatch.setattr(log_module, "IDLE_S", LIMIT_S)
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(log.span, [("together", number) for number in range(3)]))
    log.span(("alone", 0))
    assert sum(map(_is_open, asked)) == 3

    monkeypatch.setattr(log_module, "IDLE_S", -1.0)  # so that all time is too long
    for _ in asked:
        log.span(("alone", 0))
    assert len(asked) == 3
    assert not sum(map(_is_open, asked))


def _is_open(consumer: Consumer) -> bool:
    try:
        consumer.assignment()
    except RuntimeError:
        return False
    return True
