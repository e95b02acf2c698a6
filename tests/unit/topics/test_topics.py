"""Names of topics, read back, and what each topic must be like."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobstream.errors import ConfigError
from jobstream.job_queue import Queue
from jobstream.topics import names as topics
from jobstream.topics.names import Kind, TopicName
from jobstream.topics.specs import TopicSpec, specs
from jobstream_processors.core.ladder import RUNGS

NAMES = st.from_regex(r"\A[a-z0-9-]{1,30}\Z")
HOUR, DAY = 3_600_000, 86_400_000


def by_kind(*queues: Queue, replication: int = 1) -> dict[Kind, TopicSpec]:
    return {spec.kind: spec for spec in specs("shop", queues, replication)}


@given(app=NAMES, queue=NAMES.filter(lambda name: name not in topics.APP_WIDE))
def test_every_name_is_read_back(app: str, queue: str) -> None:
    assert topics.parse(topics.queue_topic(app, queue)) == TopicName(app, Kind.QUEUE, queue)
    assert topics.parse(topics.dlq_topic(app, queue)) == TopicName(app, Kind.DLQ, queue)
    assert topics.parse(topics.dedup_topic(app, queue)) == TopicName(app, Kind.DEDUP, queue)
    assert topics.parse(topics.offsets_topic(app)) == TopicName(app, Kind.OFFSETS)
    assert topics.parse(topics.schemas_topic(app)) == TopicName(app, Kind.SCHEMAS)
    for rung in RUNGS:
        name = topics.rung_topic(app, queue, rung)
        assert topics.parse(name) == TopicName(app, Kind.RUNG, queue, rung)


@pytest.mark.parametrize(
    "topic",
    ["shop", "", "shop.", ".mail", "__consumer_offsets", "Shop.mail", "shop.mail.other",
     "shop.mail.retry.7s", "shop.mail.retry", "shop.control.retry.5s",
     "shop.offsets.dlq", "shop.mail.dlq.dlq"],
)  # fmt: skip
def test_a_foreign_name_is_nobodys(topic: str) -> None:
    assert topics.parse(topic) is None


def test_groups_are_named_after_the_app() -> None:
    assert (topics.worker_group("shop"), topics.delay_group("shop")) == ("shop", "shop.delay")


@pytest.mark.parametrize("name", ["", "Shop", "a.b", "a_b", "a b", "ä", "a" * 101, "a\n", None])
def test_a_bad_name_is_refused_with_the_rule(name: str) -> None:
    with pytest.raises(ConfigError, match="use 1 to 100 of a-z, 0-9 and '-'"):
        topics.check_name("app name", name)


def test_the_longest_names_fit_kafka() -> None:
    made = specs("a" * 100, [Queue("b" * 100)], 1)

    assert max(len(spec.name) for spec in made) <= 249


def test_an_app_has_its_topics_and_no_others() -> None:
    made = specs("shop", [Queue("mail"), Queue("bulk", partitions=3)], 1)

    assert len(made) == 2 * (len(RUNGS) + 3) + 3
    assert len({spec.name for spec in made}) == len(made)
    assert all(topics.parse(spec.name) for spec in made)


def test_rows_and_dead_letters_have_the_queues_partitions() -> None:
    made = by_kind(Queue("mail", partitions=5))

    assert {made[kind].partitions for kind in (Kind.QUEUE, Kind.DLQ, Kind.DEDUP)} == {5}


def test_a_rung_may_have_fewer_partitions() -> None:
    made = specs("shop", [Queue("mail", partitions=6, rungs={"1d": 2})], 1)

    counts = {spec.name: spec.partitions for spec in made if spec.kind is Kind.RUNG}
    assert counts["shop.mail.retry.1d"] == 2
    assert counts["shop.mail.retry.6h"] == 6


@pytest.mark.parametrize(("copies", "in_sync"), [(1, "1"), (2, "1"), (3, "2"), (5, "2")])
def test_two_copies_acknowledge_where_there_are_three(copies: int, in_sync: str) -> None:
    made = specs("shop", [Queue("mail")], copies)

    assert {spec.configs["min.insync.replicas"] for spec in made} == {in_sync}
    assert {spec.replication for spec in made} == {copies}


def test_time_is_the_brokers_and_size_deletes_nothing_on_every_topic() -> None:
    for spec in specs("shop", [Queue("mail")], 3):
        assert spec.configs["message.timestamp.type"] == "LogAppendTime"
        assert spec.configs["retention.bytes"] == "-1"
        assert spec.configs["unclean.leader.election.enable"] == "false"


def test_cleanup_by_kind() -> None:
    policies = {kind: spec.configs["cleanup.policy"] for kind, spec in by_kind(Queue("m")).items()}

    assert policies == {
        Kind.QUEUE: "delete",
        Kind.RUNG: "delete",
        Kind.DLQ: "compact,delete",
        Kind.DEDUP: "compact,delete",
        Kind.OFFSETS: "compact",
        Kind.SCHEMAS: "compact",
        Kind.CONTROL: "compact,delete",
    }


def test_the_topic_of_schedules_is_there_where_it_is_used() -> None:
    without = {spec.name for spec in specs("shop", [Queue("mail")], 1)}
    (made,) = [
        s for s in specs("shop", [Queue("mail")], 1, schedules=True) if s.name not in without
    ]

    assert (made.name, made.kind, made.partitions) == ("shop.schedules", Kind.SCHEDULES, 4)
    assert made.configs["cleanup.policy"] == "compact"


def test_retention_covers_the_wait_on_every_rung() -> None:
    made = specs("shop", [Queue("mail", retention="3d")], 1)

    kept = {s.name: int(s.configs["retention.ms"]) for s in made if "retention.ms" in s.configs}
    assert kept["shop.mail"] == 3 * DAY
    assert kept["shop.mail.retry.0s"] == 14 * DAY
    assert kept["shop.mail.retry.6h"] == 14 * DAY + 6 * HOUR
    assert kept["shop.mail.retry.1d"] == 15 * DAY
    assert kept["shop.mail.dlq"] == 30 * DAY


@pytest.mark.parametrize(
    ("window", "kept"), [("24h", 36 * HOUR), ("1m", HOUR + 60_000), ("3d", 108 * HOUR)]
)
def test_rows_outlive_the_window(window: str, kept: int) -> None:
    spec = by_kind(Queue("mail", dedup=window))[Kind.DEDUP]

    assert int(spec.configs["retention.ms"]) == kept
    assert int(spec.configs["delete.retention.ms"]) == kept
    assert spec.lives_ms < kept


@given(st.integers(min_value=60_000, max_value=400 * DAY))
def test_segments_close_early_enough_for_retention_to_work(kept_ms: int) -> None:
    for spec in specs("shop", [Queue("mail", retention=kept_ms / 1000)], 1):
        segment_ms = int(spec.configs["segment.ms"])
        assert 60_000 <= segment_ms <= DAY
        if spec.kind is Kind.QUEUE:
            assert segment_ms <= max(kept_ms // 24, 60_000)
