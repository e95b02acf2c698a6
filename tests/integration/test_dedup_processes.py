"""Processes share a state dir: each has its slot, and nobody writes into another's shard."""

from __future__ import annotations

import signal
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from jobstream.dedup.slots import claim_slot
from jobstream.dedup.table import Table
from jobstream.testing import MemoryBroker, MemoryLog, MemorySink
from jobstream_processors.ports import Outgoing
from jobstream_schemas import done_key, encode_done

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import pytest

    from jobstream_processors.ports import Shard

TOPIC = "jobs.mail.dedup"

CLAIMER = """
import sys
from jobstream.dedup.slots import claim_slot
slot = claim_slot(sys.argv[1], "jobs", "c1")
print(slot.path.name, flush=True)
sys.stdin.read()
"""

# Holds the data folder of a shard open, as a process does that took no slot.
INTRUDER = """
import sys
from pathlib import Path
from jobstream.dedup.rocks import ShardMemory
from jobstream.dedup.shard import RocksShard
path, now_ms = Path(sys.argv[1]), lambda: 1_800_000_000_000
shard = RocksShard(path, ttl_seconds=7200, memory=ShardMemory(), now_ms=now_ms)
print("open", flush=True)
sys.stdin.readline()
for batch in range(200):
    shard.put_done([(f"theirs-{batch}-{n}", b"schema--", b"args----") for n in range(1000)])
shard.close()
"""


@contextmanager
def running(code: str, argument: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A process and the line it says when it is ready; it ends with its input, or is killed."""
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(argument)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            assert process.stdout is not None
            yield process, process.stdout.readline().strip()
        finally:
            process.kill()


def test_processes_take_slots_one_after_the_other(tmp_path: Path) -> None:
    with running(CLAIMER, tmp_path) as (_, first), running(CLAIMER, tmp_path) as (_, second):
        assert (first, second) == ("slot-0", "slot-1")


def test_a_killed_process_frees_its_slot(tmp_path: Path) -> None:
    with running(CLAIMER, tmp_path) as (process, name):
        process.kill()
        process.wait(timeout=180)

        with claim_slot(tmp_path, "jobs", "c1") as slot:
            assert slot.path.name == name == "slot-0"


def test_a_frozen_process_keeps_its_slot(tmp_path: Path) -> None:
    with running(CLAIMER, tmp_path) as (process, _):
        process.send_signal(signal.SIGSTOP)

        with claim_slot(tmp_path, "jobs", "c1") as slot:
            assert slot.path.name == "slot-1"


def test_a_shard_locked_by_a_living_process_is_put_aside(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    broker = MemoryBroker()
    broker.create_topic(TOPIC, compacted=True)
    ids = [str(number) for number in range(500)]
    rows = [
        Outgoing(TOPIC, done_key(i, 0), encode_done(b"", b"", i, redrive=0, attempt=1, at=1), 0)
        for i in ids
    ]
    claim = MemorySink(broker).publish(rows)[TOPIC, 0]
    slot = claim_slot(tmp_path, "jobs", "c1")
    table = Table(slot, MemoryLog(broker), now_ms=broker.clock.broker_ms)

    def opened() -> Shard:
        return table.open((TOPIC, 0), claim=claim, topic_id="t1", window_ms=3_600_000).shard

    table.close((TOPIC, 0), opened())
    (data,) = (path for path in (slot.path / f"{TOPIC}-0").iterdir() if path.is_dir())

    with running(INTRUDER, data) as (process, _):
        shard = opened()
        # It goes on writing, through flushes and new files, and disturbs nothing here.
        _, complaint = process.communicate("\n", timeout=180)
        shard.put_done([("mine", b"schema--", b"args----")])
        table.close((TOPIC, 0), shard)
        again = opened()

    assert "No such file or directory" in complaint
    assert all(again.get([*ids, "mine"]))
    assert again.get(["theirs-0-0"]) == [None]
    (warning,) = (r for r in caplog.records if r.message == "dedup_shard_rebuilt")
    assert vars(warning)["reason"].startswith("locked")
    table.close((TOPIC, 0), again)
    slot.close()
