"""Statistics of the client library: what is read from them, and what a probe takes them for."""

from __future__ import annotations

import json
from typing import Any

from prometheus_client import CollectorRegistry

from jobstream.observe.kafka_metrics import ANSWERED_MS, ClientStats


def told(state: str = "UP", **more: Any) -> str:  # noqa: ANN401 - any part of the statistics
    """As librdkafka writes them: no space after a colon."""
    broker = {
        "nodename": "kafka:9092",
        "nodeid": 1,
        "source": "learned",
        "state": state,
        "rtt": {"avg": 2_500, "cnt": 7},
        "txerrs": 1,
        "rxerrs": 2,
        "req_timeouts": 3,
        "disconnects": 4,
    }
    coordinator = {**broker, "source": "logical"}
    bootstrap = {**broker, "nodeid": -1}
    brokers = {"kafka:9092/1": broker, "GroupCoordinator": coordinator, "kafka:9092/b": bootstrap}
    return json.dumps({"msg_cnt": 5, "brokers": brokers, **more}, separators=(",", ":"))


def value(stats: ClientStats, name: str, **labels: str) -> float | None:
    registry = CollectorRegistry()
    registry.register(stats)
    return registry.get_sample_value(name, {"client": "worker", **labels})


def take(stats: ClientStats, text: str) -> None:
    stats.options("worker")["stats_cb"](text)


def test_each_broker_counts_once() -> None:
    stats = ClientStats()
    topics = {"t": {"partitions": {"0": {"fetchq_cnt": 30}, "1": {"fetchq_cnt": 12}}}}
    take(stats, told(topics=topics))

    assert value(stats, "jobs_kafka_brokers_up") == 1
    assert value(stats, "jobs_kafka_round_trip_seconds", broker="kafka:9092") == 0.0025
    assert value(stats, "jobs_kafka_request_errors_total") == 10
    assert value(stats, "jobs_kafka_queued_records") == 47


def test_a_client_that_told_nothing_yet_is_at_zero() -> None:
    stats = ClientStats()
    stats.options("worker")

    assert value(stats, "jobs_kafka_brokers_up") == 0
    assert stats.silent_s() is None
    assert stats.up_s() == 0


def test_what_cannot_be_read_is_nothing() -> None:
    stats = ClientStats()
    take(stats, "{")

    assert value(stats, "jobs_kafka_brokers_up") == 0


def test_a_lost_broker_ends_the_time_it_has_been_up() -> None:
    stats = ClientStats()
    take(stats, told())
    assert (silent := stats.silent_s()) is not None
    assert silent < 10
    take(stats, told("DOWN"))

    assert stats.up_s() == 0
    assert stats.silent_s() is not None


def test_a_member_has_joined_when_it_is_steady_or_has_long_had_its_coordinator() -> None:
    for group, joined in (
        ({"state": "up", "join_state": "steady", "stateage": 1}, True),
        ({"state": "up", "join_state": "init", "stateage": 1}, False),
        ({"state": "up", "join_state": "init", "stateage": ANSWERED_MS}, True),
        ({"state": "wait-coord", "join_state": "init", "stateage": ANSWERED_MS}, False),
    ):
        stats = ClientStats()
        take(stats, told(cgrp=group))
        assert stats.has_joined("worker") is joined, group

    assert not ClientStats().has_joined("worker")
