"""The first process of a container: it passes signals on and reaps processes that have ended.

The kernel treats process 1 differently: signals without a handler never reach it, and a process
that lost its parent becomes its child, a zombie until it is waited for. A worker can't wait for
just any child, since other code waits for the children that it started. So process 1 forks and
does only this; the command runs in the fork, as under `docker run --init`.
"""

from __future__ import annotations

import os
import signal

from jobstream.exits import SIGNALLED

_PASSED_ON = frozenset(
    {signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2}
)


def step_aside() -> None:
    """If this is process 1, return in a fork of it, and stay behind as its parent; else return.

    The parent ends with the fork's exit code, which ends whatever else runs in the container.
    """
    if os.getpid() != 1:
        return
    waited_for = _PASSED_ON | {signal.SIGCHLD}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, waited_for)
    command = os.fork()
    if command == 0:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        return
    os._exit(_attend(command, waited_for))


def _attend(command: int, waited_for: frozenset[int]) -> int:
    """Pass signals on to the command and reap all that ends; the command's exit code."""
    while True:
        number = signal.sigwait(waited_for)
        if number != signal.SIGCHLD:
            # It is there, if only as a zombie: only this process reaps it.
            os.kill(command, number)
            continue
        for pid, status in _ended():
            if pid == command:
                code = os.waitstatus_to_exitcode(status)
                return code if code >= 0 else SIGNALLED - code


def _ended() -> list[tuple[int, int]]:
    """Every child that has ended by now, reaped; one signal may stand for several."""
    found: list[tuple[int, int]] = []
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return found
        if pid == 0:
            return found
        found.append((pid, status))
