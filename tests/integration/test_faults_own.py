"""A fault of our own ends the worker: one that lives on must not hold records it never runs."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from jobstream import App
from jobstream.dedup.errors import ShardUnusable
from jobstream.dedup.shard import RocksShard
from jobstream.testing.served import Served
from jobstream_processors.errors import WorkerStopped

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from jobstream.broker import EmbeddedKafka

pytestmark = pytest.mark.kafka


@dataclass(frozen=True)
class Receipt:
    order_id: str


def test_a_table_that_cannot_be_read_ends_the_worker(
    kafka: EmbeddedKafka, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = App(
        f"faults-{uuid.uuid4().hex[:8]}",
        bootstrap_servers=kafka.bootstrap_servers,
        state_dir=tmp_path / "state",
    )

    @app.job(queue=app.queue("mail", partitions=1))
    async def send_receipt(args: Receipt) -> None: ...

    def broken(_shard: RocksShard, _ids: Sequence[str]) -> None:
        raise ShardUnusable("the disk is gone")  # noqa: EM101, TRY003 - a test

    served = Served(app)
    served.start()
    monkeypatch.setattr(RocksShard, "get", broken)
    sent = send_receipt.enqueue(Receipt("o-1"))

    # As the error itself, or as that of whoever was publishing when it came.
    with pytest.raises((ShardUnusable, WorkerStopped), match="the disk is gone"):
        served.end_of(sent.job_id)
    monkeypatch.undo()
    served.close()
