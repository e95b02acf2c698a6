"""A ledger of what handlers really did: one line per start and per end, appended and never changed.

Each process appends to a file of its own, so a process killed in the middle of a line can spoil
nothing but that line, and a line that was cut belongs to a call that never returned. There is no
key and no index: a job that runs twice is there twice. What the lines mean is judged in `audit`.
"""

from __future__ import annotations

import json
import os
import threading
import time
import uuid
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jobstream_processors.context import Context

Kind = Literal["enqueue", "start", "end"]
RETURNED = "returned"
"""How a run ended that raised nothing."""
_SUFFIX = ".jsonl"


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the ledger."""

    kind: Kind
    job_id: str
    redrive: int = 0
    seq: int = 0
    attempt: int = 0
    name: str = ""
    queue: str = ""
    key: str = ""
    """The order key, as the handler recorded it; "" for none."""
    how: str = ""
    """How a run ended: RETURNED, or the class of what it raised."""
    enqueued_ms: int = 0
    """When the producer enqueued the job, by the producer's clock."""
    pid: int = 0
    parent: int = 0
    """The parent process: the worker, if the handler ran in a child process of it."""
    at_ms: int = 0
    """When it happened, epoch milliseconds by this machine's wall clock."""


@dataclass(frozen=True, slots=True)
class Kill:
    """A process that was killed or frozen from outside; what ran in it may start again.

    `at_ms` is taken after a kill took effect, and before a freeze does. `pid` None means
    that any worker may have been cut off, as when a broker dies.
    """

    pid: int | None
    at_ms: int
    kind: Literal["kill", "freeze"] = "kill"

    @classmethod
    def now(cls, pid: int | None, kind: Literal["kill", "freeze"] = "kill") -> Kill:
        """Record it with this machine's clock."""
        return cls(pid, now_ms(), kind)

    def hit(self, start: Entry) -> bool:
        """Whether the process of `start`, or its parent, was the one; says nothing of when."""
        return self.pid is None or self.pid in (start.pid, start.parent)


class Ledger:
    """Appends entries to a folder and reads those of all processes back.

    Safe to use from any thread, after a fork, and by any number of processes at once, all on one
    machine: their times are compared with one another. A return of the methods that write proves
    that the line survives the death of this process, though not a loss of power.
    """

    def __init__(self, folder: str | Path) -> None:
        self._folder = Path(folder)
        self._lock = threading.Lock()
        self._file: tuple[int, int] | None = None
        """(pid that opened it, file descriptor)."""

    @contextmanager
    def run(self, ctx: Context, *, key: str = "") -> Iterator[None]:
        """`with ledger.run(ctx):` around a handler's body writes its start and its end."""
        self.start(ctx, key=key)
        how = RETURNED
        try:
            yield
        except BaseException as error:
            how = type(error).__name__
            raise
        finally:
            self.end(ctx, key=key, how=how)

    def start(self, ctx: Context, *, key: str = "") -> None:
        """Write that this run begins, before it does anything. Raises OSError."""
        self._append("start", ctx, key, "")

    def end(self, ctx: Context, *, key: str = "", how: str = RETURNED) -> None:
        """Write that this run ends. Raises OSError."""
        self._append("end", ctx, key, how)

    def enqueued(self, job_id: str) -> None:
        """Write that an enqueue of `job_id` was acknowledged; for jobs that enqueue jobs."""
        self._write(Entry("enqueue", job_id))

    def __iter__(self) -> Iterator[Entry]:
        """The entries written so far, those of one process in order; nothing if none are."""
        for path in sorted(self._folder.glob(f"*{_SUFFIX}")):
            with path.open(encoding="utf-8") as lines:
                # Only the last line of a file can be without its end: its writer was killed.
                yield from (Entry(**json.loads(line)) for line in lines if line.endswith("\n"))

    def close(self) -> None:
        """Close this process's file; the next entry opens another one."""
        with self._lock:
            file, self._file = self._file, None
            if file is not None and file[0] == os.getpid():
                os.close(file[1])

    def _append(self, kind: Kind, ctx: Context, key: str, how: str) -> None:
        entry = Entry(
            kind,
            ctx.job_id,
            ctx.redrive,
            ctx.seq,
            ctx.attempt,
            ctx.name,
            ctx.queue,
            key,
            how,
            round(ctx.enqueued_at.timestamp() * 1000),
        )
        self._write(entry)

    def _write(self, entry: Entry) -> None:
        stamped = replace(entry, pid=os.getpid(), parent=os.getppid(), at_ms=now_ms())
        fields = {name: value for name in Entry.__slots__ if (value := getattr(stamped, name))}
        line = json.dumps(fields, separators=(",", ":")) + "\n"
        with self._lock:
            os.write(self._descriptor(), line.encode())

    def _descriptor(self) -> int:
        pid = os.getpid()
        if self._file is None or self._file[0] != pid:
            self._folder.mkdir(parents=True, exist_ok=True)
            # A pid may come again after a kill, and a torn line must stay the last of its file.
            path = self._folder / f"{pid}-{uuid.uuid4().hex}{_SUFFIX}"
            self._file = (pid, os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644))
        return self._file[1]


def now_ms() -> int:
    """The wall clock of this machine in epoch milliseconds: the clock of every entry."""
    return time.time_ns() // 1_000_000
