"""A worker killed at any moment leaves a shard whose checkpoint is not ahead of its rows."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from jobstream.dedup.rocks import ShardMemory
from jobstream.dedup.shard import RocksShard

if TYPE_CHECKING:
    from pathlib import Path

BATCH = 200

# Restores rows 0, 1, 2, … and says after each batch how far it got, until it is killed.
RESTORER = f"""
import sys
from pathlib import Path
from jobstream.dedup.rocks import ShardMemory
from jobstream.dedup.shard import Mark, RocksShard
from jobstream_processors.core.known import Known

memory = ShardMemory(cache_bytes=4 << 20, write_bytes=int(sys.argv[2]))
shard = RocksShard(Path(sys.argv[1]), ttl_seconds=3600, memory=memory, now_ms=lambda: 0)
at = shard.marked().next_offset
while True:
    rows = [(str(n), b"schema--", b"args----") for n in range(at, at + {BATCH})]
    facts = [("moved-" + str(at), Known(moved=(0, at)))]
    at += {BATCH}
    shard.apply(rows, facts, Mark(at, at - 1))
    print(at, flush=True)
"""


def restore_and_kill(path: Path, batches: int, write_bytes: int) -> int:
    """Run the restorer for some batches, kill it in the middle of the next; what it said last."""
    command = [sys.executable, "-c", RESTORER, str(path), str(write_bytes)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        said = [int(process.stdout.readline()) for _ in range(batches)]
        process.kill()
        said += [int(line) for line in process.stdout if line.endswith("\n")]
    return said[-1]


@pytest.mark.parametrize(
    ("batches", "write_bytes"),
    [(1, 1 << 20), (40, 1 << 20), (150, 64 << 10)],
    ids=["in the log", "in the log for long", "while flushing and compacting"],
)
def test_the_checkpoint_is_never_ahead_of_the_rows(
    tmp_path: Path, batches: int, write_bytes: int
) -> None:
    path = tmp_path / "data"
    for _ in range(3):
        told = restore_and_kill(path, batches, write_bytes)

        shard = RocksShard(
            path, ttl_seconds=3600, memory=ShardMemory(4 << 20, 1 << 20), now_ms=lambda: 0
        )
        checkpoint, claim = shard.marked()
        rows = shard.get([str(n) for n in range(checkpoint)])
        moved = shard.get([f"moved-{n}" for n in range(0, checkpoint, BATCH)])
        beyond = shard.get([str(checkpoint)])
        shard.close()

        assert checkpoint >= told, "what was written before the kill survives it"
        assert claim == checkpoint - 1
        assert all(known is not None and known.done for known in rows)
        assert all(known is not None for known in moved)
        assert beyond == [None]
