"""The worker's end of a child process: what it is sent, what it says, and its death.

Used on the event loop's thread. Processes are started by one thread that lives as long as they may:
the kernel kills a child with the thread that started it.
"""

from __future__ import annotations

import asyncio
import os
import pickle
import socket
import subprocess
import sys
import threading
from contextlib import suppress
from queue import SimpleQueue
from typing import TYPE_CHECKING, Protocol

from jobstream_processors.execute.crossing import HELLO, RECEIVE_BYTES, Hello, framed
from jobstream_processors.execute.outliving import stops_held
from jobstream_processors.forked import close_in_child

if TYPE_CHECKING:
    from collections.abc import Callable

TOKENS_MAX = 4_096
REAP_S = 0.002
REAP_S_MAX = 0.1
CLOSE_S = 1.0
"""How long the end of killed processes is waited for at a close."""


class ChildLine(Protocol):
    """To one child process. Nothing of it blocks or raises."""

    def send(self, frames: bytes, tokens: bytes) -> None:
        """Send frames, and the tokens that give the right to them; it may die meanwhile."""

    def take_back(self) -> bytes:
        """The tokens that the child has not taken: it never will."""

    def hear(self) -> bytes | None:
        """What it said since; None if nothing, b"" if nothing will come any more."""

    def kill(self) -> None:
        """Kill it; its end is told as any other is."""

    def let_go(self) -> None:
        """Ask it to end by itself; nothing more is told of it. Returns at once."""

    def ended(self, limit_s: float) -> None:
        """After `let_go`: wait so long for its end, at most; blocks."""

    def close(self) -> None:
        """Kill it, and tell nothing more of it."""


class LineEar(Protocol):
    """Hears of one child."""

    def listen(self) -> None:
        """It has said something, or has ended."""

    def died(self, how: str) -> None:
        """It is no more, or never was, and all that it said can be heard."""


class Starter:
    """Starts processes on a thread of its own, which begins with the first of them."""

    def __init__(self, begin: Callable[[], None] | None) -> None:
        self._begin = pickle.dumps(begin) if begin is not None else None
        self._wanted: SimpleQueue[Callable[[], None] | None] | None = None

    def line(self, listener: LineEar) -> ChildLine:
        """A new child process, which is on its way."""
        if self._wanted is None:
            self._wanted = SimpleQueue()
            threading.Thread(
                target=self._serve, args=(self._wanted,), name="jobstream-child", daemon=True
            ).start()
        main = getattr(sys.modules.get("__main__"), "__file__", None)
        line = ProcessLine(listener)
        hello = Hello(os.getpid(), list(sys.path), main, self._begin)
        line.send(framed(HELLO, 0, pickle.dumps(tuple(hello))), b"")
        self._wanted.put(line.start)
        return line

    def close(self) -> None:
        """Start no more. On Linux, what was started and still is there is killed."""
        if self._wanted is not None:
            self._wanted.put(None)
            self._wanted = None

    @staticmethod
    def _serve(wanted: SimpleQueue[Callable[[], None] | None]) -> None:
        while (start := wanted.get()) is not None:
            start()
            del start  # While it idles, it keeps no child.


class ProcessLine:
    """A line to a real process."""

    def __init__(self, listener: LineEar) -> None:
        self._listener = listener
        self._loop = asyncio.get_running_loop()
        self._process: subprocess.Popen[bytes] | None = None
        self._error = ""
        """Why there is no process."""
        self._killed = self._closed = False
        self._unsent = b""
        self._stream, self._its_stream = _pair()
        self._tokens, self._its_tokens = _pair()
        self._tokens.shutdown(socket.SHUT_RD)
        self._loop.add_reader(self._stream.fileno(), listener.listen)

    def start(self) -> None:
        """Start the process; blocks for some milliseconds. On the starter's thread."""
        ends = (self._its_stream, self._its_tokens)
        numbers = [each.fileno() for each in ends]
        command = [sys.executable, "-m", "jobstream_processors.execute.child", *map(str, numbers)]
        try:
            with stops_held():
                process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
                    command, pass_fds=numbers, stdin=subprocess.DEVNULL
                )
        except (OSError, ValueError) as error:
            process, self._error = None, str(error)
        try:
            self._loop.call_soon_threadsafe(self._born, process)
        except RuntimeError:  # The loop is closed: the worker has left.
            if process is not None:
                _end(process, CLOSE_S)

    def _born(self, process: subprocess.Popen[bytes] | None) -> None:
        self._process = process
        self._its_stream.close()
        if self._closed:
            self._its_tokens.close()
            if process is not None:
                _end(process, CLOSE_S)
        elif process is None or self._killed:
            if process is not None:
                process.kill()
            self._reap(REAP_S)

    def send(self, frames: bytes, tokens: bytes) -> None:
        """Send frames and their tokens; what the child's stream has no room for goes later."""
        if self._unsent:
            self._unsent += frames
        else:
            self._write(frames)
        # After what they stand for, where that has gone: the child need not wait for it.
        if tokens:
            try:
                self._tokens.send(tokens)
            except OSError:
                return  # It has died, which is heard as well.

    def _write(self, data: bytes) -> None:
        try:
            sent = self._stream.send(data)
        except BlockingIOError:
            sent = 0
        except OSError:
            return  # It has died, which is heard as well.
        if sent < len(data):
            self._unsent = data[sent:]
            self._loop.add_writer(self._stream.fileno(), self._write_on)

    def _write_on(self) -> None:
        data, self._unsent = self._unsent, b""
        self._loop.remove_writer(self._stream.fileno())
        self._write(data)

    def take_back(self) -> bytes:
        """Take what the child has not taken: the kernel gives a byte to one of the two."""
        try:
            return self._its_tokens.recv(TOKENS_MAX, socket.MSG_DONTWAIT)
        except OSError:
            return b""

    def hear(self) -> bytes | None:
        """What it said since."""
        try:
            return self._stream.recv(RECEIVE_BYTES)
        except BlockingIOError:
            return None
        except OSError:
            return b""

    def kill(self) -> None:
        """Kill it, at once or as soon as it is there."""
        if self._killed or self._closed:
            return
        self._killed = True
        self._loop.remove_reader(self._stream.fileno())
        if self._process is not None:
            self._process.kill()
            # Not at once: the thread that kills it may not be done with it.
            self._loop.call_soon(self._reap, REAP_S)

    def _reap(self, pause_s: float) -> None:
        """Tell its end once the process has ended; the kernel may take its time."""
        if self._closed:
            return
        code = self._process.poll() if self._process is not None else None
        if self._process is not None and code is None:
            self._loop.call_later(pause_s, self._reap, min(2 * pause_s, REAP_S_MAX))
            return
        how = f"killed by signal {-code}" if code is not None and code < 0 else f"exit code {code}"
        self._listener.died(self._error or how)

    def let_go(self) -> None:
        """Close the streams, which is how it hears that the worker has left."""
        self._close_streams()

    def ended(self, limit_s: float) -> None:
        """Wait for its end."""
        if self._process is not None:
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(limit_s)

    def close(self) -> None:
        """Kill it, if it is still there, and close every descriptor."""
        # Killed first: where its streams are closed, it leaves what its handlers share.
        if self._process is not None and self._process.poll() is None:
            _end(self._process, CLOSE_S)
        self._close_streams()

    def _close_streams(self) -> None:
        if self._closed:
            return
        self._closed = True
        descriptor = self._stream.fileno()
        self._loop.remove_reader(descriptor)
        self._loop.remove_writer(descriptor)
        self._stream.close()
        self._tokens.close()
        if self._process is not None or self._error:
            self._its_stream.close()
            self._its_tokens.close()


def _pair() -> tuple[socket.socket, socket.socket]:
    """The worker's end and the child's, of which no process that a handler forks has a copy."""
    ours, its = socket.socketpair()
    ours.settimeout(0)
    its.settimeout(None)  # Where the worker uses its copy, it says in each call not to block.
    close_in_child(ours)
    close_in_child(its)
    return ours, its


def _end(process: subprocess.Popen[bytes], limit_s: float) -> None:
    process.kill()
    try:
        process.wait(limit_s)
    except subprocess.TimeoutExpired:
        return  # The kernel holds it; it can do nothing any more.
