"""The lag exporter beside a real broker: right when workers are dead, gone, or were never there."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import uuid
from dataclasses import dataclass
from http.client import HTTPConnection
from typing import TYPE_CHECKING

import pytest
from confluent_kafka.admin import AdminClient
from prometheus_client.core import Sample  # noqa: TC002 - a dataclass' field
from tests.harness.fleet import Fleet
from tests.harness.group_lag import GroupLag
from tests.harness.waiting import wait_until

from jobstream import App, Backoff
from jobstream.build_kind import build_kind
from jobstream.kafka.client.admin import Admin
from jobstream.kafka.client.broker_clock import BrokerClock
from jobstream.kafka.follow.control_topic import told_record
from jobstream.kafka.produce.sink import KafkaSink
from jobstream.observe.exporter import Exporter
from jobstream.observe.health import holds
from jobstream.observe.targets import Target, folder_of, living
from jobstream.operate.lag import Lag
from jobstream.operate.onlooker import Onlooker
from jobstream.operate.view import AppView
from jobstream.settings import Settings
from jobstream.topics.apply import apply, survey
from jobstream.topics.names import control_topic
from jobstream_processors.ports import Outgoing
from jobstream_schemas import ControlRecord

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from jobstream.broker import EmbeddedKafka

pytestmark = pytest.mark.kafka
LIMIT_S = 180.0

SHOP = """
import os
from dataclasses import dataclass
from http.client import HTTPConnection
from jobstream import App, Backoff

app = App(os.environ["SHOP"], commit_interval="100ms", drain="5s")
mail = app.queue("mail", partitions=2, slo="2m")

@dataclass(frozen=True)
class Receipt:
    order_id: str

@app.job(queue=mail)
async def send_receipt(args: Receipt) -> None:
    pass

@app.job(queue=mail, retry=Backoff(attempts=1))
async def refund(args: Receipt) -> None:
    raise LookupError(args.order_id)
"""
"""A refund is dead at once."""


@dataclass(frozen=True)
class Receipt:
    order_id: str


class Shop:
    """An app with topics of its own, its workers as processes, and an exporter looking at it."""

    def __init__(self, servers: str, folder: Path) -> None:
        self.name = f"shop-{uuid.uuid4().hex[:8]}"
        (folder / "shop.py").write_text(SHOP)
        self.environ = {
            "SHOP": self.name,
            "PYTHONPATH": str(folder),
            "JOBSTREAM_BOOTSTRAP_SERVERS": servers,
            "JOBSTREAM_STATE_DIR": str(folder / "state"),
        }
        self.folder = folder
        self.settings = Settings.load(
            bootstrap_servers=servers, state_dir=folder / "state", metrics_port=0
        )
        self.app = App(self.name, bootstrap_servers=servers, state_dir=folder / "state")
        mail = self.app.queue("mail", partitions=2)
        self.send_receipt = self.app.job(queue=mail, name="send_receipt")(_send_receipt)
        self.refund = self.app.job(queue=mail, name="refund", retry=Backoff(attempts=1))(_refund)
        self.exporter = self.new_exporter()
        self.samples: list[Sample] = []

    def new_exporter(self, **objectives_s: float) -> Exporter:
        onlooker = Onlooker(AppView(self.name, self.settings))
        return Exporter(onlooker, interval_s=1.0, objectives_s=objectives_s)

    def run(self, *words: str) -> None:
        """Run a command of ours to its end."""
        command = [sys.executable, "-m", "jobstream", *words]
        environ = {**os.environ, **self.environ}
        subprocess.run(command, env=environ, cwd=self.folder, check=True, timeout=LIMIT_S)

    def put(self, topic: str, value: bytes) -> None:
        """Append a record to partition 0, as any client could."""
        self.publish(Outgoing(topic, None, value, 0))

    def publish(self, record: Outgoing) -> None:
        sink = KafkaSink(self.settings.client_options(), BrokerClock())
        try:
            sink.publish([record])
        finally:
            sink.close()

    def look(self) -> None:
        """Let the exporter look once, and keep what a scrape would see."""
        self.exporter.look()
        self.trouble = self.exporter.probes.status()["trouble"]
        self.samples = [s for family in self.exporter.collect() for s in family.samples]

    def values(self, name: str, **labels: str) -> list[float]:
        return [
            sample.value
            for sample in self.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        ]

    def total(self, name: str, **labels: str) -> float:
        """The sum over all series with these labels, of which there is at least one."""
        found = self.values(name, **labels)
        assert found, f"no {name} with {labels}; there are {sorted({s.name for s in self.samples})}"
        return sum(found)

    def seen(self, name: str, value: float, **labels: str) -> None:
        """Look until a metric has that sum."""

        def holds() -> bool:
            self.look()
            found = self.values(name, **labels)
            return bool(found) and sum(found) == value

        wait_until(holds, f"{name}{labels} is {value}", limit_s=LIMIT_S)


async def _send_receipt(args: Receipt) -> None: ...
async def _refund(args: Receipt) -> None: ...


@pytest.fixture
def shop(kafka: EmbeddedKafka, tmp_path: Path) -> Iterator[Shop]:
    made = Shop(kafka.bootstrap_servers, tmp_path)
    admin = Admin(made.settings)
    queues = [made.app.queues[name] for name in made.app.plans()]
    apply(survey(admin, made.name, queues, made.settings), admin)
    yield made
    made.app.close()


@pytest.fixture
def fleet(shop: Shop) -> Iterator[Fleet]:
    command = [sys.executable, "-m", "jobstream", "worker", "shop:app", "--log", "json"]
    with Fleet(command, shop.folder, shop.environ) as started:
        yield started


def test_lag_is_seen_while_no_worker_ever_was(shop: Shop) -> None:
    for number in range(5):
        shop.send_receipt.enqueue(Receipt(f"o-{number}"))

    shop.look()

    assert shop.total("jobs_lag_records", tier="main") == 5
    assert 0 < max(shop.values("jobs_lag_seconds", tier="main")) < LIMIT_S
    assert shop.total("jobs_uncommitted_partitions") == len(
        [v for v in shop.values("jobs_lag_records", tier="main") if v]
    )
    assert shop.total("jobs_group_members", group=shop.name) == 0
    assert shop.total("jobs_collect_failures_total") == 0
    assert shop.values("jobs_queue_objective_seconds", queue="mail") == [300.0]


def test_dead_workers_leave_growing_lag_and_a_group_that_empties(shop: Shop, fleet: Fleet) -> None:
    first = fleet.start()
    shop.send_receipt.enqueue(Receipt("o-1"))
    shop.seen("jobs_lag_records", 0, tier="main")
    shop.seen("jobs_group_members", 1, group=shop.name)
    first.signal(signal.SIGKILL)
    first.wait()

    shop.send_receipt.enqueue(Receipt("o-2"))
    shop.look()
    early = max(shop.values("jobs_lag_seconds", tier="main"))
    shop.exporter = shop.new_exporter()
    shop.look()
    late = max(shop.values("jobs_lag_seconds", tier="main"))

    assert shop.total("jobs_lag_records", tier="main") == 1
    assert 0 <= early < late
    assert shop.total("jobs_uncommitted_partitions", topic=f"{shop.name}.mail") <= 1
    shop.seen("jobs_group_members", 0, group=shop.name)


def test_letters_are_counted_until_they_are_closed(shop: Shop, fleet: Fleet) -> None:
    fleet.start()
    shop.refund.enqueue(Receipt("r-1"))

    shop.seen("jobs_open_dead_letters", 1, queue="mail", job_type="refund")
    assert shop.total("jobs_open_dead_letters") == 1
    assert shop.total("jobs_oldest_dead_letter_seconds") > 0
    shop.run("dlq", "discard", "--app", shop.name, "--type", "refund")
    shop.look()
    assert shop.values("jobs_open_dead_letters", job_type="refund") == [0]
    assert shop.total("jobs_open_dead_letters") == 0
    assert shop.total("jobs_oldest_dead_letter_seconds") == 0


def test_a_job_that_is_not_due_is_not_late(shop: Shop) -> None:
    shop.send_receipt.enqueue(Receipt("o-1"), delay="2h")

    shop.look()

    assert shop.total("jobs_lag_records", tier="retry-1h") == 1
    assert shop.total("jobs_lag_seconds") == 0


def test_a_dead_delayer_shows(shop: Shop) -> None:
    """Nobody carries the job on, which is late long before the job is."""
    shop.send_receipt.enqueue(Receipt("o-1"), delay="1s")

    def late() -> bool:
        shop.look()
        return shop.total("jobs_lag_seconds", tier="retry-0s") > 0.5

    wait_until(late, "the rung is late", limit_s=LIMIT_S)


def test_lag_and_exporter_see_the_same(shop: Shop) -> None:
    for number in range(3):
        shop.send_receipt.enqueue(Receipt(f"o-{number}"))
    shop.send_receipt.enqueue(Receipt("later"), delay="2h")

    shop.look()
    (told,) = Lag(AppView(shop.name, shop.settings)).look()

    by_rung = {rung: sum(r.standing.lag for r in told.partitions if r.rung == rung)
               for rung in ("", "1h")}  # fmt: skip
    assert by_rung == {"": 3, "1h": 1}
    assert shop.total("jobs_lag_records", tier="main") == 3
    assert shop.total("jobs_lag_records", tier="retry-1h") == 1
    assert told.overdue_s >= max(shop.values("jobs_lag_seconds")) > 0


def test_the_backlog_is_told_by_type(shop: Shop) -> None:
    for number in range(6):
        shop.send_receipt.enqueue(Receipt(f"o-{number}"))
    shop.refund.enqueue(Receipt("r-1"))
    shop.put(f"{shop.name}.mail", b"no job at all")

    shop.look()

    assert shop.values("jobs_backlog_estimate_records", job_type="send_receipt") == [6]
    assert shop.values("jobs_backlog_estimate_records", job_type="refund") == [1]
    assert shop.values("jobs_backlog_estimate_records", job_type="_unknown") == [1]


def test_records_that_retention_took_are_counted(shop: Shop) -> None:
    """Lag falls to 0 with them, as if the jobs were done."""
    for number in range(4):
        shop.send_receipt.enqueue(Receipt(f"o-{number}"))
    shop.look()
    topic = f"{shop.name}.mail"
    GroupLag(shop.settings.client_options()).delete_records([(topic, 0), (topic, 1)])

    shop.seen("jobs_lag_records", 0, tier="main")

    assert shop.total("jobs_lost_to_retention_records_total", topic=topic) == 4


def test_control_entries_in_force_are_counted(shop: Shop) -> None:
    told = ControlRecord("pause_queue", "mail", "ops@here", "the provider is down", 600_000, {})
    shop.publish(told_record(control_topic(shop.name), told))

    shop.look()

    assert shop.values("jobs_control_entries", kind="pause_queue") == [1]
    assert shop.values("jobs_control_entries", kind="cancel") == [0]


def test_topics_that_are_gone_leave_the_others_seen(shop: Shop) -> None:
    shop.send_receipt.enqueue(Receipt("o-1"))
    shop.look()
    admin = AdminClient({"bootstrap.servers": shop.settings.bootstrap_servers})
    gone = [f"{shop.name}.{name}" for name in ("mail.dlq", "offsets", "schemas", "mail.retry.1h")]
    for deleted in admin.delete_topics(gone).values():
        deleted.result(LIMIT_S)

    def seen() -> bool:
        shop.look()
        return not shop.values("jobs_lag_records", tier="retry-1h")

    wait_until(seen, "the rung is gone", limit_s=LIMIT_S)
    assert shop.total("jobs_lag_records", tier="main") == 1
    assert not shop.exporter.probes.status()["trouble"]


def test_an_app_without_topics_is_not_ready(kafka: EmbeddedKafka, tmp_path: Path) -> None:
    """It may be started before the topics are made."""
    shop = Shop(kafka.bootstrap_servers, tmp_path)
    shop.look()

    (check,) = shop.exporter.probes.ready()
    assert not check.ok
    assert "has no queues" in check.why
    assert shop.total("jobs_collect_failures_total") == 1
    shop.app.close()


def test_without_brokers_it_is_not_ready_and_lives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobstream.kafka.client.admin_calls.WAIT_S", 1.0)
    shop = Shop("127.0.0.1:1", tmp_path)
    shop.look()

    (check,) = shop.exporter.probes.ready()
    assert not check.ok
    assert "no answer from 127.0.0.1:1" in check.why
    assert shop.total("jobs_collect_failures_total") == 1
    assert holds(shop.exporter.probes.live())
    shop.app.close()


def test_the_command_serves_until_it_is_told_to_leave(shop: Shop) -> None:
    """As Prometheus finds it: by its file, which goes away with it."""
    shop.send_receipt.enqueue(Receipt("o-1"))
    command = [sys.executable, "-m", "jobstream", "exporter", "--interval", "200ms"]
    options = ["--app", shop.name, "--slo", "mail=2m"]
    with Fleet([*command, *options], shop.folder, shop.environ) as exporters:
        process = exporters.start()
        target = wait_until(lambda: targets(shop), "it can be found", limit_s=LIMIT_S)[0]
        wait_until(lambda: asked(target, "/readyz")[0] == 200, "it is ready", limit_s=LIMIT_S)
        text = asked(target, "/metrics")[1]
        process.signal(signal.SIGTERM)
        left = process.wait()

    assert (target.role, left) == ("exporter", 0)
    assert 'jobs_queue_objective_seconds{queue="mail"} 120.0' in text
    assert f'jobs_build_info{{app="{shop.name}",build="{build_kind()}",role="exporter"' in text
    assert "_created" not in text
    assert not targets(shop)


def targets(shop: Shop) -> list[Target]:
    return living(folder_of(shop.settings.state_dir, shop.name))


def asked(target: Target, path: str) -> tuple[int, str]:
    """Status and body."""
    host, _, port = target.address.rpartition(":")
    connection = HTTPConnection(host, int(port), timeout=LIMIT_S)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()
