"""Topics and groups on a real cluster: created once, checked at start, mended or refused."""

from __future__ import annotations

import threading
import time
import uuid
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from confluent_kafka import OFFSET_BEGINNING, Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewPartitions

import jobstream.broker.node as broker_node
from jobstream.broker import EmbeddedKafka
from jobstream.broker.broker_settings import node_settings
from jobstream.errors import BrokerRefused, ConfigError, TopicMismatch, TopicMissing, UnsafeTopic
from jobstream.job_queue import Queue
from jobstream.kafka.client.admin import Admin
from jobstream.settings import Settings
from jobstream.topics.apply import apply, survey, verify
from jobstream.topics.names import Kind, delay_group, queue_topic, worker_group
from jobstream.topics.specs import TopicSpec, specs

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from jobstream.broker.fixture import RunningKafka

pytestmark = pytest.mark.kafka

MAIL = Queue("mail", partitions=2)
SESSION, HEARTBEAT = "consumer.session.timeout.ms", "consumer.heartbeat.interval.ms"


@pytest.fixture
def settings(kafka: EmbeddedKafka | RunningKafka) -> Settings:
    return Settings.load({}, bootstrap_servers=kafka.bootstrap_servers)


@pytest.fixture
def admin(settings: Settings) -> Admin:
    return Admin(settings)


@pytest.fixture
def app() -> str:
    """An app of this test alone, on a broker that others share."""
    return f"t{uuid.uuid4().hex[:8]}"


@pytest.fixture
def applied(admin: Admin, app: str, settings: Settings) -> Admin:
    """The cluster after `topics apply` of the app with one queue."""
    apply(survey(admin, app, [MAIL], settings), admin)
    return admin


def test_apply_creates_everything_and_a_second_time_nothing(
    admin: Admin, app: str, settings: Settings
) -> None:
    planned = survey(admin, app, [MAIL], settings)
    assert {spec.name for spec in planned.create} == {s.name for s in specs(app, [MAIL], 1)}

    assert apply(planned, admin) is planned

    again = survey(admin, app, [MAIL], settings)
    assert again.is_empty
    assert again.lines() == []
    verify(admin, app, [MAIL])


def test_topics_are_as_the_spec_says(applied: Admin, app: str) -> None:
    wanted = {spec.name: spec for spec in specs(app, [MAIL], 1)}

    for name, state in applied.describe(wanted).items():
        assert state.partitions == wanted[name].partitions
        assert state.topic_id
        assert wanted[name].configs.items() <= state.configs.items()


def test_the_groups_sessions_are_set_before_they_have_members(applied: Admin, app: str) -> None:
    for group in (worker_group(app), delay_group(app)):
        configs = applied.group_configs(group)[group]
        assert (configs[SESSION], configs[HEARTBEAT]) == ("6000", "1000")


def test_an_old_producers_clock_is_not_believed(
    applied: Admin, app: str, settings: Settings
) -> None:
    topic = queue_topic(app, "mail")
    producer = Producer(settings.client_options())
    producer.produce(topic, b"job", partition=0, timestamp=1_000)
    assert producer.flush(60) == 0

    consumer = Consumer(settings.client_options() | {"group.id": f"{app}-reader"})
    consumer.assign([TopicPartition(topic, 0, OFFSET_BEGINNING)])
    record = consumer.poll(60)
    consumer.close()

    assert record is not None
    assert record.timestamp()[1] > 1_600_000_000_000
    assert applied.describe([topic])[topic].configs["message.timestamp.type"] == "LogAppendTime"


def test_a_worker_does_not_start_without_its_topics(admin: Admin, app: str) -> None:
    with pytest.raises(TopicMissing, match="jobstream topics apply MODULE:APP") as caught:
        verify(admin, app, [MAIL])

    assert f"{app}.mail," in str(caught.value)
    assert "and 4 more" in str(caught.value)


def test_a_second_queue_creates_only_its_own(applied: Admin, app: str, settings: Settings) -> None:
    planned = survey(applied, app, [MAIL, Queue("bulk", partitions=1)], settings)

    assert {spec.name for spec in planned.create} == {
        spec.name for spec in specs(app, [Queue("bulk")], 1) if ".bulk" in spec.name
    }
    assert not planned.differences


def test_what_is_safe_is_mended_and_the_rest_kept(
    applied: Admin, app: str, settings: Settings
) -> None:
    topic = queue_topic(app, "mail")
    applied.alter_topic(topic, {"retention.ms": "3600000", "flush.messages": "1000"})

    planned = survey(applied, app, [MAIL], settings)
    assert planned.lines() == [f"~ {topic}: retention.ms 3600000 → 1209600000"]
    apply(planned, applied)

    configs = applied.describe([topic])[topic].configs
    assert (configs["retention.ms"], configs["flush.messages"]) == ("1209600000", "1000")
    assert survey(applied, app, [MAIL], settings).is_empty


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("message.timestamp.type", "CreateTime"),
        ("cleanup.policy", "compact"),
        ("unclean.leader.election.enable", "true"),
        ("retention.bytes", "1000000"),
    ],
)
def test_a_broken_guarantee_stops_worker_and_apply(
    applied: Admin, app: str, settings: Settings, setting: str, value: str
) -> None:
    topic = queue_topic(app, "mail")
    applied.alter_topic(topic, {setting: value, "segment.ms": "123456"})

    with pytest.raises(UnsafeTopic, match="topics plan MODULE:APP") as caught:
        verify(applied, app, [MAIL])
    assert f"{topic}: {setting} is {value}" in str(caught.value)

    with pytest.raises(UnsafeTopic, match="nothing was changed"):
        apply(survey(applied, app, [MAIL], settings), applied)
    assert applied.describe([topic])[topic].configs["segment.ms"] == "123456"


def test_partitions_that_somebody_added_stop_no_worker_and_are_told(
    applied: Admin, app: str, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    topic = queue_topic(app, "mail")
    client = AdminClient(dict(settings.client_options()))
    client.create_partitions([NewPartitions(topic, 3)])[topic].result(60)
    deadline = time.monotonic() + 60
    while applied.describe([topic])[topic].partitions != 3:  # a broker follows the controller
        assert time.monotonic() < deadline

    verify(applied, app, [MAIL])

    (told,) = [r for r in caplog.records if r.message == "partitions_undeclared"]
    assert f"{topic}: partitions is 3, should be 2" in vars(told)["reason"]
    with pytest.raises(TopicMismatch, match=f"{topic}: partitions is 3, should be 4"):
        verify(applied, app, [replace(MAIL, partitions=4)])


def test_code_that_declares_fewer_partitions_than_the_queue_has_is_held_back(
    applied: Admin, app: str, settings: Settings
) -> None:
    fewer = replace(MAIL, partitions=1)

    with pytest.raises(TopicMismatch, match=r"never shrinks: .* fix: declare 2"):
        verify(applied, app, [fewer])
    with pytest.raises(TopicMismatch, match="nothing was changed"):
        apply(survey(applied, app, [fewer], settings), applied)


def test_two_who_apply_at_once_do_not_disturb_each_other(
    admin: Admin, app: str, settings: Settings
) -> None:
    planned = survey(admin, app, [MAIL], settings)
    failures: list[BaseException] = []

    def run() -> None:
        try:
            apply(planned, admin)
        except BaseException as error:  # noqa: BLE001 - shown by the assertion below
            failures.append(error)

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert not failures
    verify(admin, app, [MAIL])


def test_the_clusters_refusal_is_told(admin: Admin, app: str) -> None:
    spec = TopicSpec(f"{app}.mail", Kind.QUEUE, 1, 1, {"retention.ms": "soon"})

    with pytest.raises(BrokerRefused, match="INVALID_CONFIG"):
        admin.create([spec])


def test_more_copies_than_brokers_are_refused_before_anything(
    admin: Admin, app: str, kafka: EmbeddedKafka | RunningKafka
) -> None:
    brokers = len(admin.cluster().brokers)
    settings = Settings.load({}, bootstrap_servers=kafka.bootstrap_servers, replication=brokers + 1)

    with pytest.raises(ConfigError, match=f"there are {brokers}"):
        survey(admin, app, [MAIL], settings)


def test_classic_groups_get_no_settings(
    admin: Admin, app: str, kafka: EmbeddedKafka | RunningKafka
) -> None:
    settings = Settings.load(
        {}, bootstrap_servers=kafka.bootstrap_servers, group_protocol="classic"
    )

    planned = survey(admin, app, [MAIL], settings)

    assert planned.groups == ()
    assert "classic groups: a killed worker is missed after 6s" in planned.notes[0]


def test_a_broker_that_hangs_does_not_keep_a_worker_from_starting(
    kafka_three: EmbeddedKafka, app: str
) -> None:
    settings = Settings.load({}, bootstrap_servers=kafka_three.bootstrap_servers)
    admin = Admin(settings)
    apply(survey(admin, app, [MAIL], settings), admin)

    for node in (1, 2, 3):  # the client asks one of them first, and only it knows which
        kafka_three.freeze(node)
        try:
            verify(admin, app, [MAIL])
        finally:
            kafka_three.thaw(node)
        wait_for_brokers(admin, 3)


def wait_for_brokers(admin: Admin, count: int) -> None:
    deadline = time.monotonic() + 120
    while len(admin.cluster().brokers) < count:
        assert time.monotonic() < deadline


@pytest.fixture(
    params=[
        {"group.coordinator.rebalance.protocols": "classic"},
        {
            "group.consumer.min.session.timeout.ms": "45000",
            "group.consumer.session.timeout.ms": "45000",
            "group.consumer.min.heartbeat.interval.ms": "5000",
            "group.consumer.heartbeat.interval.ms": "5000",
        },
    ],
    ids=["without the consumer protocol", "with Kafka's own minimum"],
)
def other_kafka(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[EmbeddedKafka]:
    """A broker as others run it, with settings that jobstream would not choose."""
    changed: dict[str, str] = request.param
    monkeypatch.setattr(broker_node, "node_settings", lambda *args: node_settings(*args) | changed)
    with EmbeddedKafka(directory=tmp_path) as broker:
        yield broker


def test_what_the_cluster_cannot_do_is_told_with_its_cost(other_kafka: EmbeddedKafka) -> None:
    settings = Settings.load({}, bootstrap_servers=other_kafka.bootstrap_servers)
    admin = Admin(settings)

    planned = survey(admin, "shop", [MAIL], settings)
    apply(planned, admin)

    if admin.supports_consumer_protocol():
        assert "the partitions of a killed worker stay idle for up to 45s" in str(planned.lines())
        assert not any(group.changes for group in planned.groups)
    else:
        assert planned.groups == ()
        assert "JOBSTREAM_GROUP_PROTOCOL=classic" in planned.notes[0]
    assert survey(admin, "shop", [MAIL], settings).is_empty
    verify(admin, "shop", [MAIL])
