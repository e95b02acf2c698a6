"""The one leash: the kernel signals a process when its parent dies, however that happens (Linux).

    python -S -E leash.py PARENT_PID COMMAND...

becomes COMMAND, which is killed with its parent. It imports the standard library alone, since it is
run as a file, and imported by programs that are. The kernel looks at the thread that forked: where
that may end before its process, fork from another one.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1
# Loaded now: a fork of a process with threads must not wait for the lock of a loader.
_prctl = ctypes.CDLL(None, use_errno=True).prctl if sys.platform == "linux" else None


def die_with(parent: int, number: int = signal.SIGKILL) -> None:
    """Have this process sent that signal when `parent` dies; it ends at once if that has happened.

    It stays so over an exec, and for a process that is frozen. Elsewhere than on Linux, a process
    whose parent dies later lives on.
    """
    if _prctl is not None:
        _prctl(_PR_SET_PDEATHSIG, number)
    if os.getppid() != parent:
        os._exit(128 + number)


if __name__ == "__main__":
    die_with(int(sys.argv[1]))
    os.execv(sys.argv[2], sys.argv[2:])  # noqa: S606  # the command line of our own caller
