"""SIGTERM, SIGINT and SIGHUP ask a process to leave. One stop counts once, however it arrives.

A stop often comes twice: systemd and supervisord send it to every process of a service, a terminal
to every process in front, and a process that got it passes it on. So what follows the first
signal within a second is the same stop. A later one means: leave at once. SIGHUP never means that,
since systemd can send it right behind SIGTERM; nor does anything in a process that a supervisor
keeps: there the supervisor alone decides, and it kills.

While a process serves, a thread hears its signals by the wake-up descriptor: the main thread may be
about to sleep in a system call just when one comes, and between two of its bytecodes no lock may be
taken, not even that of the log. A process that a handler of a job forked must not write there.
"""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING

from jobstream.exits import SIGNALLED, leave
from jobstream.held_signals import ASKS_TO_LEAVE
from jobstream_processors.background import in_background, log_end
from jobstream_processors.execute.outliving import as_python_starts, in_forks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

    Told = Callable[[int], None]

log = logging.getLogger("jobstream.roles")

AGAIN_S = 1.0
"""What comes within this time of the first signal is the same stop."""
_HEARD_S = 1.0
"""How long the end of serving waits until what came before it was heard."""
_END = 0
"""No signal has this number: the thread that hears is to end."""


class StopAsked(SystemExit):
    """A stop came before this process serves: nothing has begun, so it leaves with 0."""


class StopSignals:
    """Those of this process. One object for it, since the kernel knows one handler a signal."""

    def __init__(self) -> None:
        self.supervised = False
        """A supervisor keeps this process: no second signal counts."""
        self.number: int | None = None
        """The first signal that asked to leave."""
        self._at = 0.0
        self._pid = 0
        self._hooked = False
        self._pipe: int | None = None
        """Where signals are written while this process serves."""
        self._served = False

    def listen(self) -> bool:
        """Take the signals from now on. False if somebody does already, or on another thread.

        A SIGHUP that is ignored stays so: `nohup` means it.
        """
        if self._pid == os.getpid() or threading.current_thread() is not threading.main_thread():
            return False
        if not self._hooked:
            self._hooked = True
            in_forks(self._forked)
        self._pid = os.getpid()
        for number in self._ours():
            signal.signal(number, self._take)
        return True

    @contextmanager
    def serving(self, stop: Told, again: Told) -> Iterator[None]:
        """Call `stop` with the first signal and `again` with a second one, from another thread.

        A signal that came before is told at once. Before, the first one raises StopAsked in the
        main thread; after, it does nothing any more. On another thread than the main one this does
        nothing, and the signals stay as they are.
        """
        listens = self.listen()
        if self._pid != os.getpid() or threading.current_thread() is not threading.main_thread():
            yield
            return
        hears, writes = os.pipe()
        os.set_blocking(writes, False)
        self._pipe = writes
        before = signal.set_wakeup_fd(writes, warn_on_full_buffer=False)
        if self.number is not None:
            stop(self.number)
        work = partial(self._hear, hears, stop, again)
        thread = in_background("jobstream-signals", work, log_end("jobstream-signals"))
        try:
            yield
        finally:
            signal.set_wakeup_fd(before)
            self._pipe, self._served = None, True
            os.write(writes, bytes([_END]))
            thread.join(_HEARD_S)
            os.close(writes)
            if listens:
                self._rest()

    def _take(self, number: int, _: FrameType | None) -> None:
        """A handler: on the main thread, at some time between two bytecodes."""
        if self._pipe is not None:
            # The thread has heard it, but where somebody put another descriptor there.
            found = signal.set_wakeup_fd(-1)
            signal.set_wakeup_fd(found, warn_on_full_buffer=False)
            if found != self._pipe:
                with suppress(BlockingIOError):
                    os.write(self._pipe, bytes([number]))
        elif self._is_first(number):
            if not self._served:
                raise StopAsked(0)
        elif self._counts_again(number):
            os._exit(SIGNALLED + number)

    def _hear(self, hears: int, stop: Told, again: Told) -> None:
        """On the thread, until the end is written."""
        try:
            while True:
                for number in os.read(hears, 64):
                    if number == _END:
                        return
                    if number not in ASKS_TO_LEAVE:
                        continue
                    if self._is_first(number):
                        stop(number)
                    elif self._counts_again(number):
                        again(number)
        finally:
            os.close(hears)

    def _is_first(self, number: int) -> bool:
        if self.number is not None:
            return False
        self.number, self._at = number, time.monotonic()
        return True

    def _counts_again(self, number: int) -> bool:
        late = time.monotonic() - self._at >= AGAIN_S
        return late and number != signal.SIGHUP and not self.supervised

    def _ours(self) -> list[int]:
        hup = signal.getsignal(signal.SIGHUP)
        return [n for n in ASKS_TO_LEAVE if n != signal.SIGHUP or hup is not signal.SIG_IGN]

    def _forked(self) -> None:
        """In a process that somebody forked: signals are its own matter, as in a new one."""
        if self._pid:
            if self._pipe is not None:
                signal.set_wakeup_fd(-1)
            self._rest()

    def _rest(self) -> None:
        """Give the signals back as Python starts with them."""
        self._pid, self._pipe = 0, None
        self.number, self._served = None, False
        as_python_starts(self._ours())


def signal_name(number: int) -> str:
    """`SIGTERM` and the like."""
    try:
        return signal.Signals(number).name
    except ValueError:  # Most of the real-time signals have none.
        return f"signal {number}"


def leave_at_once(number: int) -> None:
    """End this process on the spot, with the code that says which signal it was."""
    log.warning("leaving_at_once", extra={"signal": signal_name(number)})
    leave(SIGNALLED + number)


SIGNALS = StopSignals()
