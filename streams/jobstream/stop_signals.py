"""SIGTERM, SIGINT and SIGHUP ask a process to leave. One stop counts once, however it arrives.

A stop often comes twice: systemd and supervisord send it to every process of a service, a terminal
to every process in front, and whoever got it passes it on. So what follows the first signal within
a second is the same stop. A later one means: leave at once. SIGHUP never means that, since systemd
can send it right behind SIGTERM; nor does anything in a process that a supervisor keeps: there the
supervisor alone decides, and it kills.

Handlers are the interpreter's own, without a wake-up descriptor: a process that a handler of a job
forked would write its signals into ours. What is to be done runs on a thread, since between two
bytecodes of the main thread no lock may be taken, not even that of the log.
"""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from contextlib import contextmanager, suppress
from functools import partial
from queue import SimpleQueue
from typing import TYPE_CHECKING

from jobstream.held_signals import ASKS_TO_LEAVE
from jobstream_processors.background import in_background, log_end
from jobstream_processors.execute.outliving import in_forks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

    Told = Callable[[int], None]

log = logging.getLogger("jobstream.roles")

AGAIN_S = 1.0
"""What comes within this time of the first signal is the same stop."""


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
        self._serves = False
        self._served = False
        self._words: SimpleQueue[tuple[Told, int] | None] | None = None
        self._stop: Told
        self._again: Told

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
        if not listens and self._pid != os.getpid():
            yield
            return
        self._stop, self._again = stop, again
        words = self._words = SimpleQueue()
        in_background("jobstream-signals", partial(_tell, words), log_end("jobstream-signals"))
        self._serves = True
        if self.number is not None:
            words.put((stop, self.number))
        try:
            yield
        finally:
            self._serves, self._served = False, True
            words.put(None)
            if listens:
                self._rest()

    def _take(self, number: int, _: FrameType | None) -> None:
        """A handler: notes, and leaves the rest to the thread."""
        if self.number is None:
            self.number, self._at = number, time.monotonic()
            if self._serves and self._words is not None:
                self._words.put((self._stop, number))
            elif not self._served:
                raise StopAsked(0)
        elif self._counts_again(number):
            if self._serves and self._words is not None:
                self._words.put((self._again, number))
            else:
                os._exit(128 + number)

    def _counts_again(self, number: int) -> bool:
        late = time.monotonic() - self._at >= AGAIN_S
        return late and number != signal.SIGHUP and not self.supervised

    def _ours(self) -> list[int]:
        hup = signal.getsignal(signal.SIGHUP)
        return [n for n in ASKS_TO_LEAVE if n != signal.SIGHUP or hup is not signal.SIG_IGN]

    def _forked(self) -> None:
        """In a process that somebody forked: signals are its own matter, as in a new one."""
        if self._pid:
            self._rest()

    def _rest(self) -> None:
        """Give the signals back as Python starts with them."""
        self._pid = 0
        self.number, self._served = None, False
        for number in self._ours():
            default = signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL
            with suppress(ValueError):  # no main thread
                signal.signal(number, default)


def leave_at_once(number: int) -> None:
    """End this process on the spot, with the code that says which signal it was."""
    log.warning("leaving_at_once", extra={"signal": number})
    os._exit(128 + number)


def _tell(words: SimpleQueue[tuple[Told, int] | None]) -> None:
    while (word := words.get()) is not None:
        tell, number = word
        tell(number)


SIGNALS = StopSignals()
