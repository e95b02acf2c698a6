"""The first import of the package: keeps what asks a command to leave until it can be taken.

Loading the package and the command line takes a fifth of a second, more on a busy machine. A signal
that comes meanwhile would end the process in its middle, and the first process of a container would
never hear of it: the kernel drops a signal for which process 1 has no handler. Blocked, it waits.
Only the command line does this, by `jobstream` or `python -m jobstream`; a program that imports the
package keeps its signals as they are.
"""

from __future__ import annotations

import os
import signal
import sys

ASKS_TO_LEAVE = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def hold() -> None:
    """Block these signals in this thread; they wait for `release`, across an `exec` too."""
    signal.pthread_sigmask(signal.SIG_BLOCK, ASKS_TO_LEAVE)


def release() -> None:
    """Take them from now on, those that waited first."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, ASKS_TO_LEAVE)


def _is_our_command() -> bool:
    """Whether this process was started as our command; `main` releases what it held."""
    if sys.argv[:1] == ["-m"]:  # as it stands until the module to run is found
        module = sys.orig_argv[sys.orig_argv.index("-m") + 1 :][:1] if "-m" in sys.orig_argv else []
        return module == ["jobstream"]
    return os.path.basename(sys.argv[0] if sys.argv else "") == "jobstream"  # noqa: PTH119 - pathlib takes longer to load than all this


if _is_our_command():
    hold()
