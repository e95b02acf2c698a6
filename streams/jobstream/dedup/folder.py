"""The folder of one shard: whose it is, where its data lies, and how it is put out of the way.

It tells a shard of another topic, partition, format or window before RocksDB touches it. RocksDB
alone reads and writes the data folder.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from jobstream.dedup.errors import ShardUnusable, StateDirError

if TYPE_CHECKING:
    from pathlib import Path

FORMAT = 4
"""Raised when the bytes in a shard change; shards of another format are rebuilt."""
ASIDES_KEPT = 2
"""Shards put aside that are kept per partition, for someone who wants to know why."""
IDENTITY = "identity.json"
_ASIDE = ".aside-"
_SLACK_MS_MIN = 3_600_000


def ttl_seconds(window_ms: int) -> int:
    """How long rows live in shard and topic: the dedup window plus half of it, at least an hour.

    The slack covers what a window does not: rows that are read late, and clocks that differ.
    """
    return (window_ms + max(window_ms // 2, _SLACK_MS_MIN)) // 1000


@dataclass(frozen=True, slots=True)
class Identity:
    """The source of a shard. A shard that differs in any field is foreign."""

    topic: str
    topic_id: str
    partition: int
    ttl_seconds: int
    format: int = FORMAT


class ShardFolder:
    """The folder of the shard of one dedup partition in one slot."""

    def __init__(self, slot: Path, topic: str, partition: int) -> None:
        self.path = slot / f"{topic}-{partition}"

    def data(self, wanted: Identity) -> Path:
        """The data folder of the shard `wanted`; made if there is none.

        Raises ShardUnusable if the folder holds another shard, StateDirError if it can't be used.
        """
        try:
            found = self._read() if self.path.exists() else self._make(wanted)
            os.utime(self.path / IDENTITY)
        except OSError as error:
            message = f"{self.path}: {error.strerror}; make it writable, or set another state dir"
            raise StateDirError(message) from error
        for name, value in asdict(wanted).items():
            if found.get(name) != value:
                message = f"foreign: its {name} is {found.get(name)!r}, wanted is {value!r}"
                raise ShardUnusable(message)
        generation = found.get("generation")
        if not isinstance(generation, str) or not generation.isalnum():
            message = f"damaged: {self.path / IDENTITY} names the generation {generation!r}"
            raise ShardUnusable(message)
        return self.path / generation

    def set_aside(self) -> Path:
        """Rename the folder out of the way and drop the oldest ones put aside before.

        Raises StateDirError if that can't be done.
        """
        aside = self.path.with_name(f"{self.path.name}{_ASIDE}{time.time_ns()}")
        try:
            self.path.rename(aside)
            for old in self.asides()[:-ASIDES_KEPT]:
                shutil.rmtree(old)
        except OSError as error:
            message = f"{self.path} can't be moved aside ({error.strerror}); remove it by hand"
            raise StateDirError(message) from error
        return aside

    def asides(self) -> list[Path]:
        """The shards that were put aside, the oldest first."""
        return sorted(self.path.parent.glob(f"{self.path.name}{_ASIDE}*"))

    def _make(self, identity: Identity) -> dict[str, object]:
        # A generation is never used twice: a process that still has the folder open that was put
        # aside would otherwise write its next file, by path, among ours.
        record = {**asdict(identity), "generation": f"{time.time_ns():x}"}
        self.path.mkdir()
        draft = self.path / f"{IDENTITY}.draft"
        draft.write_text(json.dumps(record, indent=2) + "\n")
        draft.rename(self.path / IDENTITY)
        return record

    def _read(self) -> dict[str, object]:
        try:
            record = json.loads((self.path / IDENTITY).read_bytes())
        except (FileNotFoundError, NotADirectoryError, ValueError) as error:
            message = f"damaged: {self.path / IDENTITY} can't be read: {error}"
            raise ShardUnusable(message) from error
        if not isinstance(record, dict):
            message = f"damaged: {self.path / IDENTITY} is not a JSON object"
            raise ShardUnusable(message)
        return record


def sweep(slot: Path, now_s: float) -> list[Path]:
    """Delete the shards of a slot that were not opened for twice as long as their rows live.

    Every row in them is past its time, so a warm start would find nothing. Returns the deleted
    folders; one that can't be read or deleted stays.
    """
    gone = []
    for folder in slot.iterdir():
        if not folder.is_dir():
            continue
        with suppress(OSError, ValueError, KeyError, TypeError):
            ttl = json.loads((folder / IDENTITY).read_bytes())["ttl_seconds"]
            if now_s - _last_use_s(folder) > 2 * ttl:
                shutil.rmtree(folder)
                gone.append(folder)
    return gone


def _last_use_s(folder: Path) -> float:
    """When a shard was last opened or written: RocksDB appends to its log as rows come."""
    return max(path.stat().st_mtime for path in (folder, *folder.rglob("*")))
