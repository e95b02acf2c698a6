"""Time deletes rows, and nothing else does: not a restart, not a compaction."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from jobstream.dedup.rocks import ShardMemory, open_rocks

if TYPE_CHECKING:
    from pathlib import Path

    import rocksdict

DEADLINE_S = 30


@pytest.fixture(scope="module")
def memory() -> ShardMemory:
    return ShardMemory(cache_bytes=8 << 20, write_bytes=4 << 20)


def compact(rocks: rocksdict.Rdict) -> None:
    rocks.flush()
    rocks.compact_range(None, None)


def test_rows_within_their_time_survive_restarts_and_compactions(
    tmp_path: Path, memory: ShardMemory
) -> None:
    keys = [b"%d" % run for run in range(4)]
    for key in keys:
        rocks = open_rocks(tmp_path / "data", 3600, memory)
        rocks.put(key, b"kept")
        compact(rocks)
        rocks.close()

    rocks = open_rocks(tmp_path / "data", 3600, memory)
    compact(rocks)
    assert [rocks.get(key) for key in keys] == [b"kept"] * len(keys)
    rocks.close()


@pytest.mark.parametrize("opens", [1, 2])
def test_rows_past_their_time_go(tmp_path: Path, memory: ShardMemory, opens: int) -> None:
    rocks = open_rocks(tmp_path / "data", 1, memory)
    rocks.put(b"old", b"gone one day")
    for _ in range(opens - 1):
        rocks.close()
        rocks = open_rocks(tmp_path / "data", 1, memory)

    deadline = time.monotonic() + DEADLINE_S
    while rocks.get(b"old") is not None and time.monotonic() < deadline:
        rocks.put(b"new", b"")
        compact(rocks)

    assert rocks.get(b"old") is None
    rocks.close()


def test_quiet_files_are_compacted_when_their_time_is_over(
    tmp_path: Path, memory: ShardMemory
) -> None:
    rocks = open_rocks(tmp_path / "data", 7200, memory)
    rocks.close()
    open_rocks(tmp_path / "data", 7200, memory).close()

    newest = max(tmp_path.glob("data/OPTIONS-*"), key=lambda path: path.name)
    assert "periodic_compaction_seconds=7200" in newest.read_text()
