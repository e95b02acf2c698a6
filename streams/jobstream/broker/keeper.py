"""The small process between us and one JVM, so that no JVM outlives the program that wanted it.

    python -S keeper.py PARENT_PID COMMAND...

It starts COMMAND, prints its process id, and ends with it. If the parent is gone (also by
kill -9) it kills COMMAND; if the keeper itself is killed, the kernel kills COMMAND. It imports
the standard library alone, because it is run as a file and has to start in milliseconds, and
it knows nothing about Kafka.
"""

import contextlib
import ctypes
import os
import select
import signal
import subprocess
import sys

PR_SET_PDEATHSIG = 1  # prctl(2): the signal sent to a child when its parent thread dies
POLL_S = 0.5


def keep(parent: int, command: list[str]) -> int:
    """Run `command` until it ends or `parent` does; its exit code, negative for a signal."""
    # Children of a process and of its threads differ for PDEATHSIG: it fires when the *thread*
    # that forked ends. This process has one thread, hence the detour through it.
    child = subprocess.Popen(  # noqa: S603  # the command comes from our own starter
        command,
        stdin=subprocess.DEVNULL,
        stdout=sys.stderr,
        preexec_fn=_die_with_parent,  # noqa: PLW1509  # safe: this process has one thread
    )
    sys.stdout.write(f"{child.pid}\n")
    sys.stdout.flush()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda received, _frame: child.send_signal(received))
    _wait_for_either(parent, child)
    if child.poll() is None:
        child.kill()
    return child.wait()


def _die_with_parent() -> None:
    with contextlib.suppress(AttributeError):  # no prctl outside Linux: the poll has to do
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _wait_for_either(parent: int, child: "subprocess.Popen[bytes]") -> None:
    if not hasattr(os, "pidfd_open"):
        _poll_for_either(parent, child)
        return
    try:
        watched = [os.pidfd_open(parent), os.pidfd_open(child.pid)]
    except OSError:
        _poll_for_either(parent, child)
        return
    # The number may have been given to a stranger before we opened it.
    if os.getppid() == parent:
        select.select(watched, [], [])


def _poll_for_either(parent: int, child: "subprocess.Popen[bytes]") -> None:
    while os.getppid() == parent:
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(timeout=POLL_S)
            return


if __name__ == "__main__":
    code = keep(int(sys.argv[1]), sys.argv[2:])
    sys.exit(code if code >= 0 else 128 - code)
