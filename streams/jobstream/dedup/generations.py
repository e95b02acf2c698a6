"""How rows of a shard grow old: by generations, and by the brokers' time alone.

Rows go into the newest generation, and look-ups ask it and those before. A generation ends after
the time for which rows must live; it is dropped once the one after it is that old, too: then its
youngest row is. RocksDB's own time to live would go by this machine's wall clock, which may be
wrong or jump, and drop rows that are needed.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from jobstream.dedup.errors import ShardUnusable
from jobstream.dedup.rocks import generations, new_generation, open_rocks, quieten

if TYPE_CHECKING:
    from pathlib import Path

    import rocksdict

    from jobstream.dedup.rocks import ShardMemory

FUTURE_MS = 3_600_000
"""A generation that began later than this from now was dated by a clock that was wrong."""
LOOK_MS = 60_000
"""How often age is looked at; what is dropped was out of use for so long."""
_NAME = "rows-%015d"


class Generations:
    """The column families of one shard, newest first. Changed under the shard's lock only.

    Raises ShardUnusable if one of them is dated in the future: its age can't be known.
    """

    def __init__(self, path: Path, keep_ms: int, memory: ShardMemory, now_ms: int) -> None:
        self._keep_ms = keep_ms
        self._memory = memory
        self._look_ms = now_ms + LOOK_MS
        self._began = {name: _began(name) for name in reversed(generations(path))}
        if ahead := [name for name, began in self._began.items() if began > now_ms + FUTURE_MS]:
            message = f"from the future: {path} has {ahead[0]}, and it is {now_ms} by the brokers"
            raise ShardUnusable(message)
        self._rocks = open_rocks(path, memory)
        self.families = {name: self._rocks.get_column_family(name) for name in self._began}
        """By name, newest first; replaced whole, so that readers need no lock."""
        self._leaving: list[str] = []
        if not self.families:
            self._begin(now_ms)

    @property
    def newest(self) -> rocksdict.Rdict:
        """The one that is written to."""
        return next(iter(self.families.values()))

    @property
    def target(self) -> rocksdict.ColumnFamily:
        """The same, as batches want it."""
        return self._rocks.get_column_family_handle(next(iter(self.families)))

    def write(self, batch: rocksdict.WriteBatch) -> None:
        """All of it or none."""
        self._rocks.write(batch)

    def is_due(self, now_ms: int) -> bool:
        """Whether it is time to `turn`."""
        return now_ms >= self._look_ms

    def turn(self, now_ms: int) -> bool:
        """Begin a generation if the newest is old enough, drop what is over; True if one began.

        Blocks for a flush where one began.
        """
        self._look_ms = now_ms + LOOK_MS
        for name in self._leaving:
            self._rocks.drop_column_family(name)
        self._leaving = []
        newest = next(iter(self.families))
        begins = self._began[newest] <= now_ms - self._keep_ms
        if begins:
            quieten(self.families[newest])
            self._begin(now_ms)
        self._leave(now_ms)
        return begins

    def close(self) -> None:
        """Flush and release; the files are released even where the flush fails."""
        try:
            for family in self.families.values():
                family.flush()
        finally:
            for family in self.families.values():
                family.close()
            self._rocks.close()

    def _begin(self, now_ms: int) -> None:
        name = _NAME % now_ms
        family = new_generation(self._rocks, name, self._memory)
        self._began = {name: now_ms, **self._began}
        self.families = {name: family, **self.families}

    def _leave(self, now_ms: int) -> None:
        """Drop generations that ended so long ago; their files go at the next turn."""
        gone = [
            name
            for after, name in pairwise(list(self.families))
            if self._began[after] <= now_ms - self._keep_ms
        ]
        if gone:
            self.families = {n: f for n, f in self.families.items() if n not in gone}
            self._began = {n: at for n, at in self._began.items() if n not in gone}
            self._leaving = gone


def _began(name: str) -> int:
    try:
        return int(name.removeprefix("rows-"))
    except ValueError as error:
        message = f"damaged: {name!r} is not a generation of rows"
        raise ShardUnusable(message) from error
