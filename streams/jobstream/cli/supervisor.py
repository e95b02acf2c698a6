"""Keeps child processes running: starts them, starts again those that die, passes signals on.

It runs no job and knows no topic. A child in trouble is started again after a pause that grows.
"""

from __future__ import annotations

import asyncio
import ctypes
import logging
import os
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from jobstream.cli.exits import FAILURE, OK, REPLACE, SIGNALLED
from jobstream.stop_signals import SIGNALS

log = logging.getLogger("jobstream.cli")

_PR_SET_PDEATHSIG = 1  # prctl(2): the signal a process gets when the thread that forked it ends
LINE_BYTES_MAX = 1 << 20


@dataclass(frozen=True, slots=True)
class Restarts:
    """How long to wait before a child that died is started again."""

    first_s: float = 1.0
    cap_s: float = 30.0
    healthy_s: float = 60.0
    """A child that lived as long begins with the first pause again."""

    def pause_s(self, previous_s: float, lived_s: float, code: int) -> float:
        """The pause: doubled from one death to the next; none for a child that asked for it."""
        if code == REPLACE and lived_s >= self.first_s:
            return 0.0
        if lived_s >= self.healthy_s or previous_s == 0:
            return self.first_s
        return min(self.cap_s, previous_s * 2)


@dataclass(frozen=True, slots=True)
class Child:
    """A process to keep running. With a `prefix`, each line it prints is passed on behind it."""

    command: Sequence[str]
    prefix: str = ""


def supervise(children: Sequence[Child], leave_s: float) -> int:
    """Keep these children running until a signal asks to leave; blocks. Returns the exit code.

    `leave_s` is how long a child may take to leave once it is told to; after that it is killed.
    """

    async def run() -> int:
        return await Supervisor(children, leave_s).run()

    return asyncio.run(run())


class Supervisor:
    """Children and their restarts. Made, run once, thrown away."""

    def __init__(
        self, children: Sequence[Child], leave_s: float, restarts: Restarts | None = None
    ) -> None:
        self._children = children
        self._leave_s = leave_s
        self._restarts = restarts or Restarts()
        self._running: set[asyncio.subprocess.Process] = set()
        self._stopping = asyncio.Event()
        self._second: int | None = None
        self._failed = False

    async def run(self) -> int:
        """Until it is told to stop and every child has ended; 0 if all left as they were told.

        The first SIGTERM, SIGINT or SIGHUP is passed on as SIGTERM, and children drain. A second
        stop kills them at once, as does a drain without end. Before that, a child that ends is
        started again, whatever its exit code: nobody wanted it to leave for good.
        """
        loop = asyncio.get_running_loop()

        def on_loop(act: Callable[[int], None]) -> Callable[[int], None]:
            return lambda number: _call(loop, act, number)

        with SIGNALS.serving(on_loop(self._on_signal), on_loop(self._on_second)):
            try:
                async with asyncio.TaskGroup() as group:
                    for index, child in enumerate(self._children):
                        group.create_task(self._keep(index, child))
            finally:
                for process in self._running:
                    process.kill()
        if self._second is not None:
            return SIGNALLED + self._second
        return FAILURE if self._failed else OK

    def stop(self) -> None:
        """Let the children drain and end; returns at once."""
        self._stopping.set()
        for process in self._running:
            process.terminate()
        asyncio.get_running_loop().call_later(self._leave_s, self._kill, "too_slow_to_leave")

    def _on_signal(self, number: int) -> None:
        log.info("stopping", extra={"signal": number, "children": len(self._running)})
        self.stop()

    def _on_second(self, number: int) -> None:
        self._second = number
        self._kill("second_signal")

    def _kill(self, reason: str) -> None:
        # A child killed while it drains loses nothing: what it had not settled is run again.
        if self._running:
            log.warning("killing", extra={"reason": reason, "children": len(self._running)})
        for process in self._running:
            process.kill()

    async def _keep(self, index: int, child: Child) -> None:
        """Run one child, again and again, until everything stops."""
        loop = asyncio.get_running_loop()
        pause_s = 0.0
        while not self._stopping.is_set():
            began = loop.time()
            code = await self._run_once(index, child)
            if self._stopping.is_set():
                # Told before it could listen, it ended by the signal itself: it had nothing yet.
                self._failed = self._failed or code not in {OK, -signal.SIGTERM}
                return
            pause_s = self._restarts.pause_s(pause_s, loop.time() - began, code)
            told = {"child": index, "code": code, "again_in_s": pause_s}
            log.warning("child_died" if code else "child_left_unasked", extra=told)
            await self._wait(pause_s)

    async def _run_once(self, index: int, child: Child) -> int:
        piped = asyncio.subprocess.PIPE if child.prefix else None
        process = await asyncio.create_subprocess_exec(
            *child.command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=piped,
            stderr=asyncio.subprocess.STDOUT if child.prefix else None,
            # A Ctrl-C of the terminal reaches the parent alone, which passes it on once.
            start_new_session=True,
            preexec_fn=_DieWithParent(os.getpid()),
            limit=LINE_BYTES_MAX,
        )
        self._running.add(process)
        log.info("child_started", extra={"child": index, "child_pid": process.pid})
        if self._stopping.is_set():
            process.terminate()
        try:
            if process.stdout is not None:
                await _pass_on(process.stdout, child.prefix)
            return await process.wait()
        finally:
            self._running.discard(process)

    async def _wait(self, pause_s: float) -> None:
        try:
            await asyncio.wait_for(self._stopping.wait(), pause_s)
        except TimeoutError:
            return


def _call(loop: asyncio.AbstractEventLoop, act: Callable[[int], None], number: int) -> None:
    """Have the loop act on a signal; from another thread."""
    with suppress(RuntimeError):  # The loop is closed: every child has ended.
        loop.call_soon_threadsafe(act, number)


async def _pass_on(stream: asyncio.StreamReader, prefix: str) -> None:
    """Copy lines to stdout behind a prefix until the child closes its end."""
    while True:
        try:
            line = await stream.readline()
        except ValueError:  # longer than the limit: what is buffered of it is dropped
            continue
        if not line:
            return
        sys.stdout.write(prefix + line.decode(errors="replace").rstrip("\n") + "\n")
        sys.stdout.flush()


@dataclass(frozen=True, slots=True)
class _DieWithParent:
    """Runs in the child before its program: the parent's end, however it came, ends it too.

    SIGTERM, so that it drains. Where there is no prctl the child lives on until it is stopped.
    """

    parent: int
    libc: ctypes.CDLL | None = field(
        default_factory=lambda: ctypes.CDLL(None) if sys.platform == "linux" else None
    )

    def __call__(self) -> None:
        if self.libc is None:
            return
        self.libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
        if os.getppid() != self.parent:  # it died before the call
            os._exit(SIGNALLED + signal.SIGTERM)
