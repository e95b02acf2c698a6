"""A place on this disk for one process: `<state dir>/<app>/<cluster id>/slot-N`, held by a lock.

The kernel frees the lock when the process ends, however it ends; a frozen process keeps its own,
and the next one takes the next slot.
"""

from __future__ import annotations

import logging
import os
import re
import time
from pathlib import Path
from typing import Self

from jobstream.dedup.errors import StateDirError
from jobstream.dedup.folder import sweep
from jobstream.file_lock import try_lock
from jobstream_processors.forked import close_in_child

log = logging.getLogger("jobstream.table")

SLOTS_MAX = 256
"""Worker processes of one app and cluster on one disk."""
_LOCK = "lock"
_PART = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]*")
_FIX = "name a writable local directory with free space as the state dir"


class Slot:
    """A directory that no other living process uses, until `close` or the end of this one.

    What this process forks or spawns has no part in it.
    """

    def __init__(self, path: Path, lock: int) -> None:
        self.path = path
        self._lock: int | None = lock
        close_in_child(self)

    def close(self) -> None:
        """Let go of the slot; close its shards first. A second call does nothing."""
        lock, self._lock = self._lock, None
        if lock is not None:
            os.close(lock)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def claim_slot(state_dir: str | Path, app: str, cluster_id: str) -> Slot:
    """Take the first free slot and delete the shards in it whose time is over; never blocks.

    Apps and clusters that share a state dir do not meet. Raises StateDirError, naming path and fix,
    if the directory can't be made, written or locked, or if `SLOTS_MAX` processes are here already.
    """
    home = _home(state_dir, app, cluster_id)
    try:
        for number in range(SLOTS_MAX):
            path = home / f"slot-{number}"
            path.mkdir(parents=True, exist_ok=True)
            lock = try_lock(path / _LOCK, os.O_CREAT)
            if lock is not None:
                return _entered(path, lock)
    except OSError as error:
        message = f"state dir {home}: {error.strerror}; {_FIX}"
        raise StateDirError(message) from error
    message = f"state dir {home}: all {SLOTS_MAX} slots are taken; use one state dir per service"
    raise StateDirError(message)


def _home(state_dir: str | Path, app: str, cluster_id: str) -> Path:
    for what, name in (("app", app), ("cluster id", cluster_id)):
        if not _PART.fullmatch(name):
            message = f"{what} {name!r} can't name a directory; use letters, digits, - and _"
            raise StateDirError(message)
    return Path(state_dir) / app / cluster_id


def _entered(path: Path, lock: int) -> Slot:
    """The slot, once it has proved that it can be written."""
    try:
        os.ftruncate(lock, 0)
        # For the operator who asks who is in here; and a full disk shows itself now.
        os.write(lock, f"{os.getpid()}\n".encode())
        gone = sweep(path, time.time())
    except OSError:
        os.close(lock)
        raise
    if gone:
        log.info("dedup_shards_expired", extra={"deleted": [folder.name for folder in gone]})
    return Slot(path, lock)
