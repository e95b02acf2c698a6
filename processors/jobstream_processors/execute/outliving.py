"""Child processes outlive the signals that ask a worker to leave: the worker decides when they end.

A stop often reaches every process of a service. A child that died of it would look as if its job
had killed it, and the drain is there so that the job can end. What a handler forks or starts is
not protected: handlers of signals do not survive an exec, and a fork gets Python's own.
"""

from __future__ import annotations

import os
import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

ASK_TO_LEAVE = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


@contextmanager
def stops_held() -> Iterator[None]:
    """A process started in here, by this thread, has these signals wait until `outlive_stops`."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ASK_TO_LEAVE)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def outlive_stops() -> None:
    """Take these signals from now on, and do nothing about them; on the main thread."""
    for number in ASK_TO_LEAVE:
        signal.signal(number, _nothing)
        # System calls of the user's C code go on as if nothing had come.
        signal.siginterrupt(number, False)  # noqa: FBT003 - the standard library's signature
    in_forks(as_python_starts)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, ASK_TO_LEAVE)


def in_forks(give_back: Callable[[], None]) -> None:
    """Call `give_back` in every process forked from now on, before a signal can reach it.

    A fork forgets what it was sent before it is itself, so until then those signals wait.
    """
    forking = threading.local()

    def hold() -> None:
        forking.mask = signal.pthread_sigmask(signal.SIG_BLOCK, ASK_TO_LEAVE)

    def release() -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, forking.mask)

    def begin() -> None:
        give_back()
        release()

    os.register_at_fork(before=hold, after_in_parent=release, after_in_child=begin)


def _nothing(number: int, frame: object) -> None:
    """Not SIG_IGN, which every process started from here would inherit."""


def as_python_starts(numbers: Iterable[int] = ASK_TO_LEAVE) -> None:
    """Give these signals back."""
    for number in numbers:
        of_python = signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL
        signal.signal(number, of_python)
