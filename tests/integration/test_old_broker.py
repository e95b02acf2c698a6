"""A cluster without the consumer group protocol (KIP-848): workers go on with the classic one."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from jobstream import App, Backoff, Context
from jobstream.broker import EmbeddedKafka
from jobstream.broker import node as broker_node
from jobstream.broker.settings import node_settings
from jobstream.testing.served import Served

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.kafka

OLD = {"group.coordinator.rebalance.protocols": "classic"}


@dataclass(frozen=True)
class Receipt:
    order_id: str


@pytest.fixture
def old_kafka(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[EmbeddedKafka]:
    """A broker that knows the classic protocol alone."""
    monkeypatch.setattr(broker_node, "node_settings", lambda *args: node_settings(*args) | OLD)
    with EmbeddedKafka(directory=tmp_path / "kafka") as broker:
        yield broker


def test_a_worker_says_what_it_costs_and_runs_jobs(
    old_kafka: EmbeddedKafka, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    app = App(
        f"old-{uuid.uuid4().hex[:8]}",
        bootstrap_servers=old_kafka.bootstrap_servers,
        state_dir=tmp_path / "state",
    )

    @app.job(queue=app.queue("mail", partitions=2), retry=Backoff(first="100ms"))
    async def send_receipt(args: Receipt, ctx: Context) -> None:
        if ctx.attempt == 1:
            raise TimeoutError(args.order_id)

    with Served(app) as served:
        sent = send_receipt.enqueue(Receipt("o-1"))

        assert served.end_of(sent.job_id) == "done"
    (told,) = [record for record in caplog.records if record.message == "classic_protocol"]
    assert "takes seconds" in vars(told)["costs"]
