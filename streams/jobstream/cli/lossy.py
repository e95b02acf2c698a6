"""Standard output and error of a process that serves: what can't be written is lost, and no more.

A pipe whose reader has left, a full disk, a terminal that was closed: none of them is a reason to
fail a job that prints, to end a worker or to keep it from draining. The same holds for a reader
that is there and does not read: a write waits for it for a moment, then drops. How many writes
were lost, and why, is written once writing works again.
"""

from __future__ import annotations

import io
import os
import select
import stat
import sys
from errno import EAGAIN
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

STALL_S = 2.0
"""How long a write waits for a reader that does not read; the next ones don't wait at all."""
PIPE_BYTES = 4_096
"""A pipe with room takes as much at once without blocking (POSIX: PIPE_BUF)."""
_STREAMS = (("stdout", 1), ("stderr", 2))


class LossyWriter(io.RawIOBase):
    """Writes to a descriptor and never fails. Safe to use from several threads."""

    def __init__(self, descriptor: int, name: str, stall_s: float = STALL_S) -> None:
        super().__init__()
        self.name = name
        self._descriptor = descriptor
        self._stall_s = stall_s
        self._wait_s = stall_s
        # A file takes all at once, so that lines of several processes stay whole.
        self._is_file = stat.S_ISREG(os.fstat(descriptor).st_mode)
        self._lost = 0
        self._why = ""

    def writable(self) -> bool:
        """Always."""
        return True

    def fileno(self) -> int:
        """The descriptor, which others may write to as well."""
        return self._descriptor

    def isatty(self) -> bool:
        """Whether a terminal is behind it."""
        return os.isatty(self._descriptor)

    def close(self) -> None:
        """Do nothing: the stream belongs to the process, not to the code that closes it."""

    def write(self, data: ReadableBuffer, /) -> int:
        """Write all of it, or lose what can't be written; returns its length."""
        left = memoryview(data).cast("B")
        size = len(left)
        try:
            if self._lost:
                self._write(self._told())
                self._lost = 0
            self._write(left)
        except OSError as error:
            self._lost += 1
            self._why = error.strerror or type(error).__name__
        return size

    def _write(self, left: memoryview) -> None:
        while left:
            if not select.select((), (self._descriptor,), (), self._wait_s)[1]:
                self._wait_s = 0.0
                raise BlockingIOError(EAGAIN, "its reader does not read")
            self._wait_s = self._stall_s
            left = left[os.write(self._descriptor, left if self._is_file else left[:PIPE_BYTES]) :]

    def _told(self) -> memoryview:
        # On a line of its own: what was lost may have been the rest of one.
        told = f"\njobstream: {self._lost} writes to {self.name} were lost: {self._why}\n"
        return memoryview(told.encode())


class KeptBuffer(io.BufferedWriter):
    """A buffer that can't be closed either.

    Code of a job that closes `sys.stdout` or `sys.stderr`, or drops an `io.TextIOWrapper` that it
    had put on `sys.stdout.buffer`, would close them for the worker's log and for all other jobs.
    """

    def close(self) -> None:
        """Write out what it holds."""
        self.flush()


def never_fail() -> None:
    """Make `sys.stdout` and `sys.stderr` such streams, where they are this process's own.

    One that was closed when the process began becomes one that goes nowhere: otherwise the next
    file or connection would get its number, and what libraries print there.
    """
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number, which is this one
    for name, descriptor in _STREAMS:
        made = _lossy(getattr(sys, name), name, descriptor)
        if made is not None:
            setattr(sys, name, made)
            setattr(sys, f"__{name}__", made)


def _lossy(old: object, name: str, descriptor: int) -> io.TextIOWrapper | None:
    """The stream to take its place; None for a test's, or one that user code has put there."""
    raw = LossyWriter(descriptor, name)
    if old is None:
        return io.TextIOWrapper(KeptBuffer(raw), "utf-8", "backslashreplace")
    if type(old) is not io.TextIOWrapper:
        return None
    below = getattr(old.buffer, "raw", old.buffer)  # unbuffered by `python -u`
    if type(below) is not io.FileIO or below.fileno() != descriptor:
        return None
    return io.TextIOWrapper(
        raw if below is old.buffer else KeptBuffer(raw),
        old.encoding,
        old.errors,
        line_buffering=old.line_buffering,
        write_through=old.write_through,
    )
