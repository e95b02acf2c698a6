"""The shard of one partition in RocksDB: facts by job id and by unique key, and how far it goes.

Written only after the broker has acknowledged the same rows in the topic. Writes go through
RocksDB's log without a sync: they survive the death of the process, and a power cut takes a suffix
of them, the checkpoint with the rows.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager, suppress
from shutil import disk_usage
from struct import Struct
from typing import TYPE_CHECKING, Final, NamedTuple

from jobstream.dedup.errors import ShardUnusable
from jobstream.dedup.fact_bytes import DONE_SIZE, DONE_TAG, decode, encode, encode_done
from jobstream.dedup.generations import Generations
from jobstream.dedup.key_fact_bytes import decode_key_facts, encode_key_facts
from jobstream.dedup.rocks import ClosedError, new_batch
from jobstream_processors.core.key_facts import NO_FACTS, KeyFacts
from jobstream_processors.core.known import UNKNOWN, Known
from jobstream_processors.errors import TableUnavailable
from jobstream_schemas import caused

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    import rocksdict

    from jobstream.dedup.rocks import ShardMemory

_JOB: Final = b"j"
_UNIQUE: Final = b"u"
_MARK_KEY = b"mcheckpoint"
_MARK = Struct("<qq")
_NO_CLAIM = -1
_ROWS = "rocksdb.estimate-num-keys"
_DAMAGED = "DAMAGED"
"""A file beside RocksDB's own: damage was met while reading, so the next open rebuilds."""
# The state directory is short of something; the shard itself is as good as before.
_SHORTAGES = {
    "No space left on device": "free some space, or move the state directory",
    "Disk quota exceeded": "raise the quota, or move the state directory",
    "Too many open files": "raise the limit of open files (ulimit -n)",
}


class Mark(NamedTuple):
    """How far of the dedup topic's partition a shard holds."""

    next_offset: int = 0
    """Every row of the topic below this offset is in the shard."""
    claim: int | None = None
    """The offset of the last claim row below `next_offset`, if there was one."""


class RocksShard:
    """The local part of the dedup table for one partition. Any thread may use it.

    `ttl_seconds` is how long a row is kept at least, and about twice that at most, by the brokers'
    time that `now_ms` tells; no clock of this machine drops one. Raises ShardUnusable when the
    files are locked by a process or damaged, TableUnavailable when the disk is full or the process
    has no file left to open.
    """

    def __init__(
        self, path: Path, *, ttl_seconds: int, memory: ShardMemory, now_ms: Callable[[], int]
    ) -> None:
        self._path = path
        self._now_ms = now_ms
        # HeldBy while writing: a merge reads first, and done must not fall in between.
        self._writing = threading.Lock()
        self._closed = False
        if (path / _DAMAGED).exists():
            message = f"damaged: reading {path} failed before"
            raise ShardUnusable(message)
        with self._explained():
            self._rows = Generations(path, ttl_seconds * 1_000, memory, now_ms())

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._closed

    def get(self, ids: Sequence[str]) -> Sequence[Known | None]:
        """The fact of each id, in the order of the ids; blocks for a disk read per unlucky id.

        None does not prove that an id was never settled, only that it was not within the window.
        """
        with self._explained():
            newest, *older = self._rows.families.values()
            keys: list[str | int | float | bytes | bool]  # as the library has it
            keys = [_JOB + job_id.encode() for job_id in ids]
            values = newest.get(keys) or ()
            found: list[Known | None] = [None if v is None else decode(v) for v in values]
            for family in older:
                for at, value in enumerate(family.get(keys) or ()):
                    if value is not None:
                        fact, known = decode(value), found[at]
                        found[at] = fact if known is None else fact.merge(known)
            return found

    def put_done(self, rows: Sequence[tuple[str, bytes, bytes]]) -> None:
        """Record (id, fingerprint, digest) as done, all of them or none; reads nothing.

        The return does not prove that a power cut spares them; the topic has them.
        """
        with self._explained(), self._writing:
            self._rows.write(_done_batch(rows, self._target()))

    def merge(self, facts: Sequence[tuple[str, Known]]) -> None:
        """Merge facts into what is known, all of them or none; a done id stays done."""
        self.apply((), facts)

    def key_facts(self, name: str) -> KeyFacts:
        """What is known of a unique key; may block for a disk read."""
        return self.facts_of_keys((name,))[0]

    def facts_of_keys(self, names: Sequence[str]) -> Sequence[KeyFacts]:
        """The same of each of these, in their order; blocks for a disk read per unlucky one."""
        with self._explained():
            keys: list[str | int | float | bytes | bool]  # as the library has it
            keys = [_UNIQUE + name.encode() for name in names]
            found = [NO_FACTS] * len(keys)
            for family in self._rows.families.values():
                for at, value in enumerate(family.get(keys) or ()):
                    if value is not None:
                        found[at] = found[at].merge(decode_key_facts(value))
            return found

    def keep_key_facts(self, facts: Sequence[tuple[str, KeyFacts]]) -> None:
        """Merge facts about unique keys into what is known of them, all of them or none."""
        self.apply((), (), None, facts)

    def apply(
        self,
        done: Sequence[tuple[str, bytes, bytes]],
        facts: Sequence[tuple[str, Known]],
        mark: Mark | None = None,
        holds: Sequence[tuple[str, KeyFacts]] = (),
    ) -> None:
        """`put_done`, `merge`, `mark` and `keep_key_facts` as one write, all of it or none."""
        with self._explained(), self._writing:
            batch = _done_batch(done, self._target())
            if mark is not None:
                claim = _NO_CLAIM if mark.claim is None else mark.claim
                batch.put(_MARK_KEY, _MARK.pack(mark.next_offset, claim))
            for job_id, known in self._merged(done, facts):
                batch.put(_JOB + job_id.encode(), encode(known))
            merged: dict[str, KeyFacts] = {}
            for name, hold in holds:
                merged[name] = hold if (more := merged.get(name)) is None else more.merge(hold)
            if merged:
                before = self.facts_of_keys(list(merged))
                for (name, hold), was in zip(merged.items(), before, strict=True):
                    value = encode_key_facts(was.merge(hold))
                    batch.put(_UNIQUE + name.encode(), value)
            self._rows.write(batch)

    def mark(self, mark: Mark) -> None:
        """Note that every row of the topic below `mark.next_offset` is in the shard.

        The caller vouches for it: rows of another owner, too, not only those written here.
        """
        self.apply((), (), mark)

    def marked(self) -> Mark:
        """The last mark; the log's start where there is none."""
        with self._explained():
            marks = [family.get(_MARK_KEY) for family in self._rows.families.values()]
            value = next((mark for mark in marks if mark is not None), None)
            if value is None:
                return Mark()
            if len(value) != _MARK.size:
                message = f"damaged: {self._path} has a checkpoint of {len(value)} bytes"
                raise ShardUnusable(message)
            next_offset, claim = _MARK.unpack(value)
            return Mark(next_offset, None if claim == _NO_CLAIM else claim)

    def rows(self) -> int:
        """About how many rows it holds, by RocksDB's estimate; 0 once it is closed."""
        try:
            families = self._rows.families.values()
            return sum(family.property_int_value(_ROWS) or 0 for family in families)
        except Exception:  # noqa: BLE001 - rocksdict raises bare ones; a number is no reason to fail
            return 0

    def close(self) -> None:
        """Flush and release; blocks for the flush. A second call does nothing.

        The files are released even where the flush fails, which raises TableUnavailable.
        """
        with self._writing:
            if self._closed:
                return
            self._closed = True
            with self._explained():
                self._rows.close()

    def _target(self) -> rocksdict.ColumnFamily:
        """Where rows are written to now. Under the lock: it may begin another generation."""
        now_ms = self._now_ms()
        if self._rows.is_due(now_ms):
            mark = self.marked()
            if self._rows.turn(now_ms):
                # Beside the rows that it vouches for, as ever.
                batch = _done_batch((), self._rows.target)
                claim = _NO_CLAIM if mark.claim is None else mark.claim
                batch.put(_MARK_KEY, _MARK.pack(mark.next_offset, claim))
                self._rows.write(batch)
        return self._rows.target

    def _merged(
        self, done: Sequence[tuple[str, bytes, bytes]], facts: Sequence[tuple[str, Known]]
    ) -> Iterator[tuple[str, Known]]:
        """Each id of `facts` with all that is known of it now; not those in `done`."""
        merged: dict[str, Known] = {}
        for job_id, fact in facts:
            merged[job_id] = merged.get(job_id, UNKNOWN).merge(fact)
        if merged and done:
            for job_id, _, _ in done:
                merged.pop(job_id, None)
        if not merged:
            return
        for (job_id, fact), known in zip(merged.items(), self.get(list(merged)), strict=True):
            yield job_id, fact if known is None else known.merge(fact)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Turn RocksDB's plain exceptions into ours, and remember damage for the next open."""
        try:
            yield
        except ShardUnusable:
            self._remember_damage()
            raise
        except ClosedError as error:
            message = f"dedup shard {self._path} is closed"
            raise caused(TableUnavailable(message), error) from error
        except Exception as error:
            # RocksDB's errors come as bare Exceptions; any other class is a caller's mistake.
            if type(error) is not Exception:
                raise
            raise caused(self._refusal(str(error)), error) from error

    def _refusal(self, text: str) -> TableUnavailable:
        for shortage, fix in _SHORTAGES.items():
            if shortage in text:
                free = disk_usage(self._path.parent).free
                where = f"dedup shard {self._path} ({free:,} bytes free)"
                return TableUnavailable(f"{where}: {text}; {fix}")
        if "LOCK" in text and "lock" in text:
            return ShardUnusable(f"locked: {text}")
        self._remember_damage()
        return ShardUnusable(f"damaged: {text}")

    def _remember_damage(self) -> None:
        with suppress(OSError):
            (self._path / _DAMAGED).touch()


def _done_batch(
    rows: Sequence[tuple[str, bytes, bytes]], target: rocksdict.ColumnFamily
) -> rocksdict.WriteBatch:
    batch = new_batch()
    batch.set_default_column_family(target)
    put = batch.put
    for job_id, fingerprint, digest in rows:
        value = DONE_TAG + fingerprint + digest
        if len(value) != DONE_SIZE:
            value = encode_done(fingerprint, digest)
        put(_JOB + job_id.encode(), value)
    return batch
