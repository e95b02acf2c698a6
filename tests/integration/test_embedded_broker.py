"""The embedded broker is a real Kafka: it keeps what it acknowledged, and leaves nothing behind."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from confluent_kafka import (
    TIMESTAMP_LOG_APPEND_TIME,
    Consumer,
    KafkaException,
    Producer,
    TopicPartition,
)
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # documented, not in __all__
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourceType,
)
from confluent_kafka.cimpl import NewTopic

from jobstream.broker import (
    BrokerDirectoryError,
    BrokerStartError,
    BrokerStateError,
    EmbeddedKafka,
    down,
    status,
)
from jobstream.broker.broker_process import DetachedJvm, started_at
from jobstream.broker.broker_settings import NodeAddress
from jobstream.broker.free_ports import choose_addresses

if TYPE_CHECKING:
    from confluent_kafka import Message

    from jobstream.broker.fixture import RunningKafka

pytestmark = pytest.mark.kafka

LIMIT_S = 180.0
PROGRAM = """
import os, sys
from pathlib import Path
from jobstream.broker import EmbeddedKafka
from jobstream.broker.ready import serves
kafka = EmbeddedKafka()
kafka.start()
child = os.fork()
if child == 0:
    sys.exit(0)  # an ordinary exit: it runs the exit handlers that fork copied
os.waitpid(child, 0)
served = serves(kafka.bootstrap_servers, 60.0) and kafka.directory.is_dir()
print(kafka.pids[0], served, kafka.directory, flush=True)
sys.stdin.read()
"""
UP = "import sys; from jobstream.broker import up; print(up(port=int(sys.argv[1])).directory)"


def new_topic(bootstrap: str, partitions: int = 1) -> str:
    name = f"test-{uuid.uuid4()}"
    admin = AdminClient({"bootstrap.servers": bootstrap})
    admin.create_topics([NewTopic(name, partitions)])[name].result(LIMIT_S)
    return name


def send(bootstrap: str, topic: str, *values: bytes) -> None:
    """Send each value once, and wait until all replicas that are in sync have it."""
    failed: list[object] = []
    producer = Producer(
        {
            "bootstrap.servers": bootstrap,
            # A node that dies or freezes leaves requests in doubt; repeating them adds nothing.
            "enable.idempotence": True,
            # How long an answer from a frozen node is awaited before the new leader is asked.
            "request.timeout.ms": 3000,
            "socket.timeout.ms": 3000,
            "log_level": 0,
        }
    )
    for value in values:
        producer.produce(topic, value, on_delivery=lambda err, _: failed.append(err))
    assert producer.flush(LIMIT_S) == 0
    assert failed == [None] * len(values)


def next_record(consumer: Consumer) -> Message:
    limit = time.monotonic() + LIMIT_S
    while time.monotonic() < limit:
        record = consumer.poll(1.0)
        if record is not None and record.error() is None:
            return record
    pytest.fail("no record in time")


def read(bootstrap: str, topic: str, count: int) -> list[bytes | None]:
    """The first `count` records of partition 0."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "reader", "log_level": 0})
    try:
        consumer.assign([TopicPartition(topic, 0, 0)])
        return [next_record(consumer).value() for _ in range(count)]
    finally:
        consumer.close()


def stranger(pid: int) -> DetachedJvm:
    started = started_at(pid)
    assert started is not None
    return DetachedJvm(pid, started)


def test_record_comes_back_with_the_time_of_the_broker(kafka: EmbeddedKafka) -> None:
    topic = new_topic(kafka.bootstrap_servers)
    producer = Producer({"bootstrap.servers": kafka.bootstrap_servers})
    producer.produce(topic, b"late", timestamp=1)
    assert producer.flush(LIMIT_S) == 0
    consumer = Consumer({"bootstrap.servers": kafka.bootstrap_servers, "group.id": "any"})
    consumer.assign([TopicPartition(topic, 0, 0)])

    record = next_record(consumer)
    consumer.close()

    assert record.value() == b"late"
    kind, appended_ms = record.timestamp()
    assert kind == TIMESTAMP_LOG_APPEND_TIME
    assert appended_ms > 1


def test_topics_are_not_made_by_accident(kafka: EmbeddedKafka) -> None:
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap_servers})
    unknown = f"typo-{uuid.uuid4()}"

    producer = Producer({"bootstrap.servers": kafka.bootstrap_servers, "message.timeout.ms": 1000})
    producer.produce(unknown, b"x")
    producer.flush(LIMIT_S)

    assert unknown not in admin.list_topics(timeout=LIMIT_S).topics


def test_new_group_protocol_works_with_short_sessions(kafka: EmbeddedKafka) -> None:
    topic, group = new_topic(kafka.bootstrap_servers), f"group-{uuid.uuid4()}"
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap_servers})
    session = ConfigResource(
        ResourceType.GROUP,
        group,
        incremental_configs=[
            ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET)
            for name, value in (
                ("consumer.session.timeout.ms", "6000"),
                ("consumer.heartbeat.interval.ms", "1000"),
            )
        ],
    )
    for changed in admin.incremental_alter_configs([session]).values():
        changed.result(LIMIT_S)
    send(kafka.bootstrap_servers, topic, b"one")

    consumer = Consumer(
        {
            "bootstrap.servers": kafka.bootstrap_servers,
            "group.id": group,
            "group.protocol": "consumer",
            "auto.offset.reset": "earliest",
        }
    )
    consumer.subscribe([topic])
    record = next_record(consumer)
    described = admin.describe_consumer_groups([group])[group].result(LIMIT_S)
    consumer.close()

    assert record.value() == b"one"
    assert described.type.name == "CONSUMER"


def test_killed_node_comes_back_with_its_data_and_stop_leaves_nothing() -> None:
    kafka = EmbeddedKafka()
    kafka.start()
    address, (first,) = kafka.bootstrap_servers, kafka.pids
    topic = new_topic(address)
    send(address, topic, b"before")

    kafka.kill(1)

    assert kafka.pids == []
    with pytest.raises(BrokerStateError, match="node 1 is not running"):
        kafka.kill(1)
    kafka.restart(1)
    assert kafka.bootstrap_servers == address
    with pytest.raises(BrokerStateError, match="node 1 is running"):
        kafka.restart(1)
    send(address, topic, b"after")
    assert read(address, topic, 2) == [b"before", b"after"]

    second, folder = stranger(kafka.pids[0]), kafka.directory
    assert second.pid != first
    assert kafka.logs[0].read_text()
    kafka.stop()
    assert not second.is_running()
    assert not folder.exists()


def test_directory_is_kept_and_not_shared(tmp_path: Path) -> None:
    with EmbeddedKafka(directory=tmp_path) as kafka:
        topic = new_topic(kafka.bootstrap_servers)
        send(kafka.bootstrap_servers, topic, b"kept")
        intruder = EmbeddedKafka(directory=tmp_path)
        with pytest.raises(BrokerDirectoryError, match="is locked"):
            intruder.start()
        assert intruder.pids == []
        assert read(kafka.bootstrap_servers, topic, 1) == [b"kept"]

    with EmbeddedKafka(directory=tmp_path) as kafka:
        assert read(kafka.bootstrap_servers, topic, 1) == [b"kept"]
        (log,) = kafka.logs
    assert log.exists()


def test_port_lost_between_look_and_bind_is_chosen_again(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as squatter:
        taken = squatter.getsockname()[1]
        free = choose_addresses(1, None)
        choices = iter([(NodeAddress(1, taken, free[0].controller_port),), free])
        monkeypatch.setattr(
            "jobstream.broker.embedded.choose_addresses", lambda _nodes, _port: next(choices)
        )

        with EmbeddedKafka() as kafka:
            assert kafka.bootstrap_servers == free[0].bootstrap


def test_heap_too_small_says_so_and_leaves_nothing(tmp_path: Path) -> None:
    kafka = EmbeddedKafka(directory=tmp_path, heap_mb=1)

    with pytest.raises(BrokerStartError, match=r"(?i)heap"):
        kafka.start()

    assert kafka.pids == []


def test_broker_dies_with_a_killed_program_and_not_with_its_forked_child() -> None:
    program = subprocess.Popen(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", PROGRAM],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert program.stdout is not None
    pid, served, folder = program.stdout.readline().split()
    broker = stranger(int(pid))
    keeper = stranger(int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1]))

    program.send_signal(signal.SIGKILL)
    program.communicate()

    assert served == "True", "the child's exit took its parent's broker down"
    assert broker.wait(time.monotonic() + LIMIT_S)
    assert keeper.wait(time.monotonic() + LIMIT_S)
    assert not Path(folder).exists()


def test_three_nodes_go_on_without_one(kafka_three: EmbeddedKafka) -> None:
    address = kafka_three.bootstrap_servers
    topic = new_topic(address, partitions=6)
    every_partition = [str(i).encode() for i in range(60)]
    send(address, topic, *every_partition)

    kafka_three.kill(3)
    send(address, topic, *every_partition)
    kafka_three.restart(3)
    kafka_three.freeze(1)
    assert len(kafka_three.pids) == 3
    send(address, topic, *every_partition)
    kafka_three.thaw(1)
    kafka_three.wait_in_sync()

    consumer = Consumer({"bootstrap.servers": address, "group.id": "ends", "log_level": 0})
    ends = [
        consumer.get_watermark_offsets(TopicPartition(topic, number), timeout=LIMIT_S)
        for number in range(6)
    ]
    consumer.close()
    assert sum(high for _, high in ends) == 180


def test_detached_broker_is_found_again_and_goes_down(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JOBSTREAM_STATE_DIR", str(tmp_path))
    port = str(choose_addresses(1, None)[0].port)
    up_command = [sys.executable, "-c", UP, port]

    subprocess.run(up_command, check=True, capture_output=True)

    found = status()
    assert found is not None
    try:
        assert found.bootstrap_servers == f"127.0.0.1:{port}"
        assert (found.nodes, found.running) == (1, 1)
        topic = new_topic(found.bootstrap_servers)
        send(found.bootstrap_servers, topic, b"x")
        again = subprocess.run(up_command, check=False, capture_output=True, text=True)
        assert again.returncode != 0
        assert "a broker is up already" in again.stderr
    finally:
        assert down()
    assert found.running == 0
    assert status() is None
    assert not down()
    with pytest.raises(KafkaException):
        AdminClient({"bootstrap.servers": f"127.0.0.1:{port}", "log_level": 0}).list_topics(
            timeout=0.5
        )


def test_docker_broker_keeps_a_record(docker_kafka: RunningKafka) -> None:
    topic = new_topic(docker_kafka.bootstrap_servers)

    send(docker_kafka.bootstrap_servers, topic, b"x")

    assert read(docker_kafka.bootstrap_servers, topic, 1) == [b"x"]
