"""How a process ends: the exit codes of every command, and the ways out past what hangs.

`docs/reference/cli.md` lists the codes.
"""

from __future__ import annotations

import os
import sys
import threading
from typing import NoReturn

OK = 0
FAILURE = 1
DIFFERS = 2
"""Something is to be done (`topics plan`, `schemas check`), or the command was not understood."""
UNSAFE = 3
"""The present state would break a guarantee; nothing was changed."""
REPLACE = 75
"""The process must be started again (sysexits.h: EX_TEMPFAIL)."""
INTERRUPTED = 130
"""Ended by Ctrl-C (128 + SIGINT)."""
SIGNALLED = 128
"""Plus the number of the signal that ended the command."""
FLUSH_S = 1.0
"""How long last words may take, which a thread that hangs can keep for ever."""


def flush() -> None:
    """Send out what was logged and printed; blocks for FLUSH_S at most."""
    from jobstream_processors.background import in_background, log_end  # noqa: PLC0415 - loads asyncio

    in_background("jobstream-flush", _flush, log_end("jobstream-flush")).join(FLUSH_S)


def leave(code: int) -> NoReturn:
    """End this process on the spot, whatever its threads do; what was logged is sent out first."""
    flush()
    os._exit(code)


def leave_threads(code: int) -> None:
    """Leave if a thread that can't be stopped would keep this process; else return."""
    others = (t for t in threading.enumerate() if t is not threading.main_thread())
    kept = [thread.name for thread in others if not thread.daemon]
    if kept:
        import logging  # noqa: PLC0415 - most commands load no log

        logging.getLogger("jobstream.roles").warning("threads_left_behind", extra={"threads": kept})
        leave(code)


def _flush() -> None:
    import logging  # noqa: PLC0415 - as above

    logging.shutdown()
    sys.stdout.flush()
