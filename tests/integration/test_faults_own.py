"""A fault of our own ends the worker: one that lives on must not hold records it never runs."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from jobstream.broker import EmbeddedKafka

pytestmark = pytest.mark.kafka

LIMIT_S = 180
ENDS_BY_ERROR = {1, 75}
"""Told by whoever finds it first: as the error itself, or as a process to be replaced."""
APP = """
from dataclasses import dataclass
from jobstream import App

app = App("{name}")

@dataclass(frozen=True)
class Receipt:
    order_id: str

@app.job(queue=app.queue("mail", partitions=1))
async def send_receipt(args: Receipt) -> None: ...
"""
BROKEN_WORKER = """
from jobstream.cli.root import root
from jobstream.dedup.errors import ShardUnusable
from jobstream.dedup.shard import RocksShard

def broken(shard, ids):
    raise ShardUnusable("the disk is gone")

RocksShard.get = broken
root.main(["worker", "shop:app", "--supervised"])
"""


def test_a_table_that_cannot_be_read_ends_the_worker(kafka: EmbeddedKafka, tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(APP.format(name=f"faults-{uuid.uuid4().hex[:8]}"))
    environ = {
        **os.environ,
        "JOBSTREAM_BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
        "JOBSTREAM_STATE_DIR": str(tmp_path / "state"),
    }

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *words],
            cwd=tmp_path,
            env=environ,
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )

    for words in (
        ("topics", "apply", "shop:app"),
        ("enqueue", "shop:app", "send_receipt", '{"order_id": "o-1"}'),
    ):
        assert run("-m", "jobstream", *words).returncode == 0

    worker = run("-c", BROKEN_WORKER)

    assert worker.returncode in ENDS_BY_ERROR
    assert "the disk is gone" in worker.stdout + worker.stderr
