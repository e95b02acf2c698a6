"""`leashed.py PID COMMAND…` becomes COMMAND, in a process that dies when its parent PID does.

So no worker of a test outlives the test, even if the test is killed. Linux only: elsewhere it just
becomes COMMAND. It imports nothing of ours, since it is run without site packages.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main(parent: int, command: list[str]) -> None:
    """Never returns: the process goes on as `command`, under the same process id."""
    if sys.platform == "linux":
        # Set for the process and kept over exec; it is sent even to a process that is frozen.
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)  # The parent died before it could be watched.
    os.execv(command[0], command)  # noqa: S606  # the command line of the test itself


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
