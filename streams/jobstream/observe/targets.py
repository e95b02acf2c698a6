"""Where the processes of this machine can be asked: a small file each, in Prometheus' own form.

`<state dir>/<app>/targets/<role>-<pid>.json` is what `file_sd_configs` reads. A process holds a
lock on its file, which the kernel frees however the process ends: so whether a file is left over is
known for sure, also where process ids are used again.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jobstream.file_lock import try_lock
from jobstream_processors.forked import tell_in_child

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

log = logging.getLogger("jobstream.observe")

JOB = "jobstream"
"""The `job` label of every process of ours."""


@dataclass(frozen=True, slots=True)
class Target:
    """A process that lives and can be asked at `address` (host:port)."""

    address: str
    role: str
    pid: int


class Announcement:
    """The file of this process, until `close` or the end of the process."""

    def __init__(self, path: Path, lock: int) -> None:
        self.path = path
        self._lock: int | None = lock
        tell_in_child(self)

    def forked(self) -> None:
        """In a forked child: the file is its parent's, and ends with that."""
        lock, self._lock = self._lock, None
        if lock is not None:
            os.close(lock)

    def close(self) -> None:
        """Remove the file. A second call does nothing."""
        lock, self._lock = self._lock, None
        if lock is not None:
            self.path.unlink(missing_ok=True)
            os.close(lock)


def folder_of(state_dir: Path, app: str) -> Path:
    """Where an app's files stand."""
    return state_dir / app / "targets"


def announce(folder: Path, role: str, address: str, labels: dict[str, str]) -> Announcement:
    """Write this process's file, and remove those of processes that are gone.

    Raises OSError where the folder can't be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with _alone(folder):
        for path, lock in _left_over(folder):
            log.info("target_removed", extra={"file": path.name})
            path.unlink(missing_ok=True)
            os.close(lock)
        path = folder / f"{role}-{os.getpid()}.json"
        if path.exists():  # another endpoint of this very process, or of a neighbour container
            path = folder / f"{role}-{os.getpid()}-{address.rpartition(':')[2]}.json"
        text = json.dumps([{"targets": [address], "labels": {"job": JOB, **labels}}])
        # Complete and locked before it has its name: no reader sees half of it or thinks it left.
        draft = path.with_suffix(".tmp")
        lock = os.open(draft, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            os.write(lock, text.encode())
            draft.rename(path)
        except BaseException:
            os.close(lock)
            raise
    return Announcement(path, lock)


def living(folder: Path) -> list[Target]:
    """The processes that are there now, by role and pid. Files of those that are gone are skipped.

    Raises OSError where the folder can't be read; a folder that is not there holds none.
    """
    found = []
    for path in sorted(folder.glob("*.json")):
        lock = _try_lock(path)
        if lock is not None:
            os.close(lock)
            continue
        try:
            (entry,) = json.loads(path.read_text())
            role = str(entry["labels"]["role"])
            pid = int(path.stem.removeprefix(f"{role}-").partition("-")[0])
            found.append(Target(str(entry["targets"][0]), role, pid))
        except (OSError, ValueError, LookupError, TypeError) as error:
            log.warning("target_unreadable", extra={"file": str(path), "reason": repr(error)})
    return sorted(found, key=lambda target: (target.role, target.pid, target.address))


def _left_over(folder: Path) -> Iterator[tuple[Path, int]]:
    """Files whose process is gone, each with its lock, now held by us."""
    for path in sorted(folder.glob("*.json")):
        lock = _try_lock(path)
        if lock is not None:
            yield path, lock


def _try_lock(path: Path) -> int | None:
    """The descriptor that now holds the file's lock; None while its process lives, or if gone."""
    try:
        return try_lock(path)
    except FileNotFoundError:
        return None


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One process at a time looks for what is left over and adds its own."""
    with (folder / ".lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
