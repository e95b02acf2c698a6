"""Broker time deletes rows, and nothing else does: no clock of this machine, no restart."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from jobstream.dedup.errors import ShardUnusable
from jobstream.dedup.generations import FUTURE_MS, LOOK_MS
from jobstream.dedup.rocks import ShardMemory
from jobstream.dedup.shard import Mark, RocksShard
from jobstream.testing import VirtualClock
from jobstream_processors.core.known import Known

if TYPE_CHECKING:
    from pathlib import Path

HOUR_MS = 3_600_000
TTL_S = 36 * 3_600
TTL_MS = TTL_S * 1_000


class Kept:
    """A shard on disk, and the broker's clock."""

    def __init__(self, path: Path, ttl_s: int = TTL_S) -> None:
        self.path = path
        self.ttl_s = ttl_s
        self.clock = VirtualClock()
        self.memory = ShardMemory(cache_bytes=8 << 20, write_bytes=4 << 20)
        self.open()

    def open(self) -> None:
        self.shard = RocksShard(
            self.path, ttl_seconds=self.ttl_s, memory=self.memory, now_ms=self.clock.broker_ms
        )

    def reopen(self) -> None:
        self.shard.close()
        self.open()

    def done(self, *ids: str) -> None:
        self.shard.put_done([(job_id, b"12345678", b"87654321") for job_id in ids])

    def has(self, job_id: str) -> bool:
        (known,) = self.shard.get([job_id])
        return known is not None and known.done

    def compact(self) -> None:
        """As RocksDB does whenever it likes."""
        for family in self.shard._rows.families.values():  # noqa: SLF001 - to have it happen now
            family.flush()
            family.compact_range(None, None)

    def live_on(self, hours: int) -> None:
        """Settle a job an hour, as a shard does that is in use."""
        for hour in range(hours):
            self.clock.advance(HOUR_MS)
            self.done(f"at {self.clock.broker_ms()} {hour}")


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    return Kept(tmp_path / "data")


@pytest.mark.parametrize("restarts", [False, True])
def test_a_wall_clock_that_runs_ahead_drops_nothing(tmp_path: Path, *, restarts: bool) -> None:
    """As if it jumped: rows live for a second, and it passes several while the brokers' stands."""
    kept = Kept(tmp_path / "data", ttl_s=1)
    kept.done("before")
    kept.shard.mark(Mark(100, 5))
    until_s = time.time() + 3
    while True:
        kept.done("while")
        kept.compact()
        if time.time() > until_s:
            break
    if restarts:
        kept.reopen()
    kept.compact()

    assert kept.has("before")
    assert kept.has("while")
    assert kept.shard.marked() == Mark(100, 5)


def test_a_row_lives_for_its_time_and_about_once_more_then_its_files_go(kept: Kept) -> None:
    kept.done("old")
    kept.shard.mark(Mark(100, 5))
    kept.live_on(TTL_S // 3_600)
    assert kept.has("old")

    kept.live_on(TTL_S // 3_600 + 1)
    assert not kept.has("old")
    assert kept.shard.marked() == Mark(100, 5)

    kept.live_on(20 * TTL_S // 3_600)
    kept.reopen()
    assert len(kept.shard._rows.families) <= 3  # noqa: SLF001 - that is what bounds the disk
    assert kept.shard.rows() <= 3 * TTL_S // 3_600 + 3


def test_facts_of_two_generations_are_told_as_one(kept: Kept) -> None:
    kept.shard.merge([("a", Known(moved=(0, 3)))])
    kept.done("b")
    kept.live_on(TTL_S // 3_600 + 1)
    assert len(kept.shard._rows.families) == 2  # noqa: SLF001 - or this would show nothing
    kept.shard.merge([("a", Known(crashes=(0, 1))), ("b", Known(crashes=(0, 1)))])

    for _ in range(2):
        a, b, c = kept.shard.get(["a", "b", "c"])
        assert a is not None
        assert (a.moved, a.crashes) == ((0, 3), (0, 1))
        assert b is not None
        assert b.done
        assert c is None
        kept.reopen()


def test_a_shard_that_was_out_of_use_for_long_is_opened_with_what_it_has(kept: Kept) -> None:
    kept.done("a")
    kept.shard.mark(Mark(7, None))
    kept.shard.close()
    kept.clock.advance(10 * TTL_MS)
    kept.open()

    assert kept.shard.marked() == Mark(7, None)
    kept.live_on(TTL_S // 3_600 + 1)
    assert not kept.has("a")


def test_brokers_may_differ_by_less_than_that(kept: Kept) -> None:
    kept.clock.advance(LOOK_MS)
    kept.done("a")
    kept.shard.close()
    kept.clock = VirtualClock(kept.clock.broker_ms() - FUTURE_MS)
    kept.open()

    assert kept.has("a")


def test_a_generation_from_the_future_makes_the_shard_unusable(kept: Kept) -> None:
    kept.clock.advance(LOOK_MS)
    kept.done("a")
    kept.shard.close()
    kept.clock = VirtualClock(kept.clock.broker_ms() - FUTURE_MS - 2 * LOOK_MS)
    with pytest.raises(ShardUnusable, match="from the future"):
        kept.open()
