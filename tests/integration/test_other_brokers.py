"""Brokers that are not set up as jobstream would: older ones, and ones with other settings."""

from __future__ import annotations

import threading
import uuid
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from tests.harness.served import Served
from tests.harness.waiting import wait_until

from jobstream import App, Backoff, BrokerTooOld, Context, TopicMissing
from jobstream.broker import EmbeddedKafka
from jobstream.broker import node as broker_node
from jobstream.broker.broker_settings import node_settings
from jobstream.kafka.client.admin import Admin
from jobstream.roles.process import Roles
from jobstream.topics.names import worker_group
from jobstream.topics.sessions import SESSION
from jobstream_processors.errors import WorkerStopped

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.kafka

OLD = {"group.coordinator.rebalance.protocols": "classic"}
GENEROUS = {"auto.create.topics.enable": "true"}


@dataclass(frozen=True)
class Receipt:
    order_id: str


@contextmanager
def kafka_with(settings: dict[str, str], folder: Path) -> Iterator[EmbeddedKafka]:
    """A broker with other settings than ours."""
    with pytest.MonkeyPatch.context() as patch:
        changed = lambda *args: node_settings(*args) | settings  # noqa: E731 - shorter so
        patch.setattr(broker_node, "node_settings", changed)
        with EmbeddedKafka(directory=folder / "kafka") as broker:
            yield broker


@pytest.fixture
def old_kafka(tmp_path: Path) -> Iterator[EmbeddedKafka]:
    """A broker that knows the classic protocol alone."""
    with kafka_with(OLD, tmp_path) as broker:
        yield broker


@pytest.fixture
def generous_kafka(tmp_path: Path) -> Iterator[EmbeddedKafka]:
    """A broker that creates any topic that it is asked about, as it does by default."""
    with kafka_with(GENEROUS, tmp_path) as broker:
        yield broker


def app_on(broker: EmbeddedKafka, folder: Path, **settings: str) -> App:
    """An app with a name of its own."""
    return App(
        f"other-{uuid.uuid4().hex[:8]}",
        bootstrap_servers=broker.bootstrap_servers,
        state_dir=folder / "state",
        **settings,  # type: ignore[arg-type] # whatever the test wants to be wrong
    )


def test_a_worker_says_what_it_costs_and_runs_jobs(
    old_kafka: EmbeddedKafka, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    app = app_on(old_kafka, tmp_path)

    @app.job(queue=app.queue("mail", partitions=2), retry=Backoff(first="100ms"))
    async def send_receipt(args: Receipt, ctx: Context) -> None:
        if ctx.attempt == 1:
            raise TimeoutError(args.order_id)

    with Served(app) as served:
        sent = send_receipt.enqueue(Receipt("o-1"))

        assert served.end_of(sent.job_id) == "done"
    (told,) = [record for record in caplog.records if record.message == "classic_protocol"]
    assert "takes seconds" in vars(told)["costs"]
    wait_until(
        lambda: "jobstream-settle" not in [thread.name for thread in threading.enumerate()],
        "the worker that gave up has left, too",
        limit_s=180,
    )


def test_a_worker_falls_back_too_where_another_role_is_the_first_to_end(
    old_kafka: EmbeddedKafka, tmp_path: Path
) -> None:
    app = app_on(old_kafka, tmp_path)

    @app.job(queue=app.queue("mail", partitions=1))
    async def send_receipt(args: Receipt) -> None:
        """Nothing."""

    serve = Roles._serve  # noqa: SLF001 - what a delayer ends with that looks at the pulse then

    def stopped(roles: Roles) -> None:
        try:
            serve(roles)
        except BrokerTooOld as error:
            message = "the worker is leaving"
            raise WorkerStopped(message) from error

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Roles, "_serve", stopped)
        with Served(app) as served:
            assert served.end_of(send_receipt.enqueue(Receipt("o-1")).job_id) == "done"


def test_a_stop_during_the_fall_back_is_kept(
    old_kafka: EmbeddedKafka, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    # Given an app whose worker is told to stop while it hears that the broker is too old
    app = app_on(old_kafka, tmp_path)
    app.declare("send_receipt", Receipt, queue=app.queue("mail", partitions=1))
    served = Served(app)
    roles = Roles(app)
    serve = roles._serve  # noqa: SLF001 - the moment that is meant is between two calls of it
    served_with: list[str] = []

    def stopped_when_it_fails() -> None:
        served_with.append(vars(roles)["_protocol"])
        try:
            serve()
        except (BrokerTooOld, WorkerStopped):
            roles.stop()
            raise

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(roles, "_serve", stopped_when_it_fails)

        # When it falls back
        running = threading.Thread(target=roles.run, daemon=True)
        running.start()
        wait_until(lambda: not running.is_alive(), "the worker has left", limit_s=180)

    # Then it has left, without another try
    assert served_with == ["consumer"]
    assert "classic_protocol" not in caplog.messages
    served.close()


def test_a_worker_that_was_told_to_stop_before_it_ran_leaves(
    kafka: EmbeddedKafka, tmp_path: Path
) -> None:
    app = app_on(kafka, tmp_path)
    app.declare("send_receipt", Receipt, queue=app.queue("mail", partitions=1))
    served = Served(app)
    roles = Roles(app)
    roles.stop()

    running = threading.Thread(target=roles.run, daemon=True)
    running.start()

    wait_until(lambda: not running.is_alive(), "the worker has left", limit_s=180)
    served.close()


def test_an_enqueue_creates_no_topic(generous_kafka: EmbeddedKafka, tmp_path: Path) -> None:
    app = app_on(generous_kafka, tmp_path)

    @app.job
    async def send_receipt(args: Receipt) -> None: ...

    for _ in range(2):
        with pytest.raises(TopicMissing):
            send_receipt.enqueue(Receipt("o-1"))
    app.close()

    assert not [name for name in Admin(app.settings).topics() if name.startswith(app.name)]


def test_a_session_that_the_group_does_not_have_is_not_believed(
    kafka: EmbeddedKafka, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    app = app_on(kafka, tmp_path, session_timeout="30s")

    @app.job(queue=app.queue("mail", partitions=1))
    async def send_receipt(args: Receipt) -> None: ...

    served = Served(app)
    Admin(app.settings).alter_group(worker_group(app.name), {SESSION: "6000"})
    with served:
        assert served.end_of(send_receipt.enqueue(Receipt("o-1")).job_id) == "done"
        (role, *_) = vars(vars(served)["_roles"])["_taken"]
        pulse = vars(role)["_ground"].membership.pulse

    (told,) = [record for record in caplog.records if record.message == "session_is_shorter"]
    assert "topics apply" in vars(told)["fix"]
    assert vars(pulse)["_session_ms"] == 5_000
