"""A table over a broker in memory, with real RocksDB shards in a real slot."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from jobstream.dedup.rocks import ShardMemory
from jobstream.dedup.shard import RocksShard
from jobstream.dedup.slots import claim_slot
from jobstream.dedup.table import CATCH_UP_S, Table
from jobstream.testing import MemoryBroker, MemoryLog, MemorySink
from jobstream_processors.ports import Outgoing
from jobstream_schemas import CLAIM_KEY, Row, done_key, encode_done, encode_row, row_key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from jobstream_processors.assignment.takeover import OpenShard
    from jobstream_processors.ports import Shard

PRINT, DIGEST = b"schema--", b"args----"
AT = 1_700_000_000_000
HOUR_MS = 3_600_000


class Bench:
    """One dedup topic, written by whoever likes, and the table of one process over it."""

    topic = "jobs.mail.dedup"
    place = (topic, 0)

    def __init__(self, state_dir: Path) -> None:
        self.state_dir = state_dir
        self.broker = MemoryBroker()
        self.broker.create_topic(self.topic, 2, compacted=True)
        self.sink = MemorySink(self.broker)
        self.log = MemoryLog(self.broker)
        self.told: list[tuple[tuple[str, int], int, int]] = []
        self.memory = ShardMemory(cache_bytes=8 << 20, write_bytes=4 << 20)
        self.slot = claim_slot(state_dir, "jobs", "cluster")
        self.table = self.new_table()
        self.last: Shard | None = None

    def new_table(self) -> Table:
        now_ms = self.broker.clock.broker_ms
        return Table(self.slot, self.log, self._tell, now_ms=now_ms, memory=self.memory)

    def publish(self, key: bytes, value: bytes | None) -> int:
        return self.sink.publish([Outgoing(self.topic, key, value, 0)])[self.place]

    def row(self, row: Row) -> int:
        return self.publish(row_key(row), encode_row(row))

    def done(self, *ids: str) -> None:
        for job_id in ids:
            value = encode_done(DIGEST, PRINT, job_id, redrive=0, attempt=1, at=AT)
            self.publish(done_key(job_id, 0), value)

    def claim(self) -> int:
        row = Row("claim", "", "", 0, 0, 0, b"", b"", AT, 0, "worker")
        return self.publish(CLAIM_KEY, encode_row(row))

    def open(
        self,
        claim: int | None = None,
        window_ms: int = HOUR_MS,
        needed: Callable[[], bool] | None = None,
    ) -> OpenShard:
        opened = self.table.open(
            self.place,
            claim=self.claim() if claim is None else claim,
            topic_id=self.broker.topic_id(self.topic),
            window_ms=window_ms,
            needed=needed,
        )
        self.last = opened.shard
        return opened

    def close(self, catch_up_s: float = CATCH_UP_S) -> None:
        """Close the shard that was opened last."""
        assert self.last is not None
        self.table.close(self.place, self.last, catch_up_s=catch_up_s)

    def catch_up(self, seconds: float = CATCH_UP_S) -> int:
        """Let that shard read on."""
        assert isinstance(self.last, RocksShard)
        return self.table.catch_up(self.place, self.last, seconds=seconds)

    def folders(self) -> list[str]:
        return sorted(path.name for path in self.slot.path.iterdir() if path.is_dir())

    def _tell(self, partition: tuple[str, int], rows: int, remaining: int) -> None:
        self.told.append((partition, rows, remaining))


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    if made.last is not None:
        made.close(catch_up_s=0)
    made.slot.close()
