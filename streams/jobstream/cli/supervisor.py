"""Keeps child processes running: starts them, restarts those that die, passes signals on.

A child that dies again and again restarts after a growing pause.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from jobstream.exits import FAILURE, OK, REPLACE, SIGNALLED
from jobstream.roles.stop_signals import SIGNALS, signal_name
from jobstream_processors.execute.leash import die_with

log = logging.getLogger("jobstream.cli")

LINE_BYTES_MAX = 1 << 20
LAST_WORDS_S = 1.0
"""How long the output of a child that ended is read on: what it started may hold the other end."""


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

    name: str
    command: Sequence[str]
    prefix: str = ""


class Telling:
    """Reports to the log how children end; called on the supervisor's loop."""

    def ended(self, child: Child, code: int, again_s: float) -> None:
        """It ended unasked, by a signal if `code` is negative; it restarts in `again_s`."""
        how = {"signal": signal_name(-code)} if code < 0 else {"code": code}
        told = {"child": child.name, **how, "again_in_s": again_s}
        if code == REPLACE:
            log.info("child_replaced", extra=told)
        else:
            log.warning("child_died" if code else "child_left_unasked", extra=told)

    def stopping(self, number: int, children: int) -> None:
        """A signal came, and the children drain."""
        log.info("stopping", extra={"signal": signal_name(number), "children": children})

    def killing(self, children: Sequence[Child], number: int | None) -> None:
        """They are killed: by a second signal, or since they are too slow to leave."""
        reason = "second_signal" if number is not None else "too_slow_to_leave"
        names = [child.name for child in children]
        log.warning("killing", extra={"reason": reason, "children": names})


def supervise(children: Sequence[Child], leave_s: float) -> int:
    """Keep these children running until a signal asks to leave; blocks. Returns the exit code.

    `leave_s` is how long a child may take to leave after a stop; then it is killed.
    """
    return asyncio.run(Supervisor(children, leave_s).run())


class Supervisor:
    """Children and their restarts. Made, run once, thrown away."""

    def __init__(
        self,
        children: Sequence[Child],
        leave_s: float,
        restarts: Restarts | None = None,
        telling: Telling | None = None,
    ) -> None:
        self._children = children
        self._leave_s = leave_s
        self._restarts = restarts or Restarts()
        self._telling = telling or Telling()
        self._running: dict[asyncio.subprocess.Process, Child] = {}
        self._stopping = False
        self._round = 0
        """Counts renewals: a child of an earlier one is to leave, and is no child that died."""
        self._woken = asyncio.Event()
        """Ends the pauses of now; each renewal makes another one."""
        self._second: int | None = None
        self._failed = False

    async def run(self) -> int:
        """Run until a stop, and until every child has ended; 0 if all of them left by themselves.

        The first SIGTERM, SIGINT or SIGHUP is passed on as SIGTERM, and children drain. A second
        stop kills them at once, as does a drain without end. Before that, a child that ends is
        restarted, whatever its exit code: its end was not asked for.
        """
        loop = asyncio.get_running_loop()

        def on_loop(act: Callable[[int], None]) -> Callable[[int], None]:
            return lambda number: _call(loop, act, number)

        with SIGNALS.serving(on_loop(self._on_signal), on_loop(self._on_second)):
            try:
                async with asyncio.TaskGroup() as group:
                    for child in self._children:
                        group.create_task(self._keep(child))
            finally:
                for process in self._running:
                    _send(process, signal.SIGKILL)
        if self._second is not None:
            return SIGNALLED + self._second
        return FAILURE if self._failed else OK

    def stop(self) -> None:
        """Let the children drain and end; returns at once."""
        self._stopping = True
        self._let_go()

    def renew(self) -> None:
        """Let the children drain and end, and start each anew once it has; returns at once."""
        self._round += 1
        self._let_go()
        if not self._stopping:
            self._woken = asyncio.Event()

    def _let_go(self) -> None:
        self._woken.set()
        self._ask_to_leave([*self._running])

    def _ask_to_leave(self, asked: Sequence[asyncio.subprocess.Process]) -> None:
        for process in asked:
            _send(process, signal.SIGTERM)
        asyncio.get_running_loop().call_later(self._leave_s, self._kill, asked, None)

    def _on_signal(self, number: int) -> None:
        self._telling.stopping(number, len(self._running))
        self.stop()

    def _on_second(self, number: int) -> None:
        self._second = number
        self._kill([*self._running], number)

    def _kill(self, asked: Sequence[asyncio.subprocess.Process], number: int | None) -> None:
        # A child killed while it drains loses nothing: what it had not settled is run again.
        left = [process for process in asked if process in self._running]
        if left:
            self._telling.killing([self._running[process] for process in left], number)
        for process in left:
            _send(process, signal.SIGKILL)

    async def _keep(self, child: Child) -> None:
        """Run one child, again and again, until everything stops."""
        loop = asyncio.get_running_loop()
        pause_s = 0.0
        while not self._stopping:
            began, of_round = loop.time(), self._round
            code = await self._run_once(child)
            if self._stopping:
                # The signal came before it could listen and ended it: it had nothing yet. Or it
                # came when the child had just drained, to be replaced.
                self._failed = self._failed or code not in {OK, REPLACE, -signal.SIGTERM}
                return
            if of_round != self._round:
                pause_s = 0.0
                continue
            pause_s = self._restarts.pause_s(pause_s, loop.time() - began, code)
            self._telling.ended(child, code, pause_s)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._woken.wait(), pause_s)

    async def _run_once(self, child: Child) -> int:
        of_round = self._round
        # A pipe of our own: asyncio waits for the end of one it has made before it tells of the
        # child's end, and what a child that was killed has started may hold it for long.
        hears, writes = os.pipe() if child.prefix else (None, None)
        try:
            process = await asyncio.create_subprocess_exec(
                *child.command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=writes,
                stderr=writes,
                # A Ctrl-C of the terminal reaches the parent alone, which passes it on once.
                start_new_session=True,
                # A parent that is killed has its children drain.
                preexec_fn=partial(die_with, os.getpid(), signal.SIGTERM),
            )
        finally:
            if writes is not None:
                os.close(writes)
        self._running[process] = child
        log.info("child_started", extra={"child": child.name, "child_pid": process.pid})
        if self._stopping or of_round != self._round:
            self._ask_to_leave([process])
        output = asyncio.create_task(_pass_on(hears, child.prefix)) if hears is not None else None
        try:
            return await process.wait()
        finally:
            del self._running[process]
            if output is not None:
                await asyncio.wait([output], timeout=LAST_WORDS_S)
                output.cancel()


def _send(process: asyncio.subprocess.Process, number: int) -> None:
    """Send a signal to a child.

    Not by the process's own methods: these ask first whether it has ended, and asking takes
    the exit code away from the thread that waits for it, which then reports 255.
    """
    if process.returncode is None:
        with suppress(ProcessLookupError):
            os.kill(process.pid, number)


def _call(loop: asyncio.AbstractEventLoop, act: Callable[[int], None], number: int) -> None:
    """Have the loop act on a signal; from another thread."""
    with suppress(RuntimeError):  # The loop is closed: every child has ended.
        loop.call_soon_threadsafe(act, number)


async def _pass_on(hears: int, prefix: str) -> None:
    """Copy lines to stdout behind a prefix until no process holds the other end."""
    stream = asyncio.StreamReader(LINE_BYTES_MAX)
    with os.fdopen(hears, "rb", 0) as pipe:
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(stream), pipe
        )
        try:
            await _copy(stream, prefix)
        finally:
            transport.close()


async def _copy(stream: asyncio.StreamReader, prefix: str) -> None:
    while True:
        try:
            line = await stream.readline()
        except ValueError:  # longer than the limit: what is buffered of it is dropped
            continue
        if not line:
            return
        sys.stdout.write(prefix + line.decode(errors="replace").rstrip("\n") + "\n")
        sys.stdout.flush()
