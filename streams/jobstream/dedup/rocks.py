"""How RocksDB is set up for shards: memory bounded for the process, reads that mostly miss.

The one module that names RocksDB's options; it holds no rows. All shards of a process share one
`ShardMemory`, so that its bound does not grow with the number of partitions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobstream_processors.errors import TableUnavailable

try:
    import rocksdict
except ImportError as error:
    MESSAGE = "the dedup table needs rocksdict: pip install 'jobstream[worker]'"
    raise TableUnavailable(MESSAGE) from error

if TYPE_CHECKING:
    from pathlib import Path

ClosedError = rocksdict.DbClosedError
"""Raised by RocksDB's objects after their close."""

MIB = 1 << 20
CACHE_BYTES = 32 * MIB
WRITE_BYTES = 12 * MIB
ROW_FILES = 100
_OTHER_FILES = 10
"""RocksDB counts as many as its own in `max_open_files`, and takes 20 as the least."""

# 10 bits a key make 1 % of misses read a block, by the formula of a Bloom filter:
# (1 - e^(-k/bits))^k with k = bits * ln 2 (Broder and Mitzenmacher 2004, section 2).
_BLOOM_BITS = 10
_MEMTABLE_BYTES = 8 * MIB
# A filter of this share of a memtable, before the search in it: nearly every look-up misses. 16
# bits a row, if one takes 64 bytes.
_MEMTABLE_BLOOM = 0.015
# What a memtable takes at once, beside its filter. With RocksDB's eighth of a memtable, a dozen
# empty shards would fill WRITE_BYTES, and have it flush them all the time.
_ARENA_BYTES = 128 * 1024
_UNUSED = "default"
_QUIET = {"memtable_prefix_bloom_size_ratio": "0", "write_buffer_size": "65536"}
"""Options of a column family that is only read."""
_LOG_BYTES_MAX = MIB
_LOGS_KEPT = 2


class ShardMemory:
    """The memory that all shards of a process share: blocks, filters and unflushed rows.

    `write_bytes` is counted inside `cache_bytes`. RocksDB may pass the bound for a moment, by the
    blocks that are being read and the memtables that are being flushed. `row_files` is how many
    files with rows each shard keeps open; it opens another one in place of the oldest.
    """

    def __init__(
        self,
        cache_bytes: int = CACHE_BYTES,
        write_bytes: int = WRITE_BYTES,
        row_files: int = ROW_FILES,
    ) -> None:
        self.row_files = row_files
        self.cache = rocksdict.Cache(cache_bytes)
        self.writes = rocksdict.WriteBufferManager.new_write_buffer_manager_with_cache(
            write_bytes, allow_stall=False, cache=self.cache
        )

    def used(self) -> int:
        """Bytes that all shards have in memory now, by the count of RocksDB's cache."""
        return self.cache.get_usage()


def open_rocks(path: Path, memory: ShardMemory) -> rocksdict.Rdict:
    """Open or create the database in `path`; replays what its last process had not flushed.

    Its column families are the generations of a shard, by name; the one that RocksDB insists on
    stays empty. Raises whatever rocksdict raises, which is a plain Exception with RocksDB's words.
    """
    names = generations(path)
    families = {_UNUSED: _options(memory, quiet=True)}
    families |= {name: _options(memory, quiet=name != names[-1]) for name in names}
    return rocksdict.Rdict(str(path), _options(memory), column_families=families)


def generations(path: Path) -> list[str]:
    """Names of the column families of a database that is not open, oldest first."""
    if not (path / "CURRENT").exists():
        return []
    return sorted(name for name in rocksdict.Rdict.list_cf(str(path)) if name != _UNUSED)


def new_generation(rocks: rocksdict.Rdict, name: str, memory: ShardMemory) -> rocksdict.Rdict:
    """A column family that is written to from now on."""
    return rocks.create_column_family(name, _options(memory))


def quieten(family: rocksdict.Rdict) -> None:
    """Flush a column family that nothing is written to any more; it keeps little memory then."""
    family.set_options(_QUIET)
    family.flush()


def new_batch() -> rocksdict.WriteBatch:
    """An empty batch of writes that `open_rocks` takes, all of it or none."""
    return rocksdict.WriteBatch(raw_mode=True)


def _options(memory: ShardMemory, *, quiet: bool = False) -> rocksdict.Options:
    options = rocksdict.Options(raw_mode=True)
    options.create_if_missing(create_if_missing=True)
    options.set_block_based_table_factory(_blocks(memory))
    options.set_compression_type(rocksdict.DBCompressionType.lz4())
    options.set_write_buffer_size(64 * 1024 if quiet else _MEMTABLE_BYTES)
    options.set_arena_block_size(_ARENA_BYTES)
    options.set_write_buffer_manager(memory.writes)
    options.set_memtable_prefix_bloom_ratio(0.0 if quiet else _MEMTABLE_BLOOM)
    options.set_memtable_whole_key_filtering(whole_key_filter=True)
    # After a crash keep the writes up to the first damaged one: a prefix, so no later
    # checkpoint can survive rows that came before it.
    options.set_wal_recovery_mode(rocksdict.DBRecoveryMode.point_in_time())
    options.set_max_log_file_size(_LOG_BYTES_MAX)
    options.set_keep_log_file_num(_LOGS_KEPT)
    options.set_max_open_files(memory.row_files + _OTHER_FILES)
    options.set_stats_dump_period_sec(0)
    options.set_stats_persist_period_sec(0)
    return options


def _blocks(memory: ShardMemory) -> rocksdict.BlockBasedOptions:
    blocks = rocksdict.BlockBasedOptions()
    blocks.set_block_cache(memory.cache)
    blocks.set_bloom_filter(_BLOOM_BITS, block_based=False)
    # Filters and indexes live in the cache, or they would grow with the rows beyond any bound.
    blocks.set_cache_index_and_filter_blocks(v=True)
    blocks.set_pin_l0_filter_and_index_blocks_in_cache(v=True)
    return blocks
