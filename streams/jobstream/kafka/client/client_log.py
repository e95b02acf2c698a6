"""What the client library has to say: the log `jobstream.client`, each text once in a while.

While a broker is away, every client of a process tells of every attempt to reach it, twenty times a
second. That would bury what else an outage has to tell, and fill disks.
"""

from __future__ import annotations

import logging
import re
import threading
import time

CLIENT_LOG = "jobstream.client"
AGAIN_S = 30.0
"""How long the same text is kept back after it was shown."""
TEXTS_MAX = 200
_WHO_AND_WHEN = re.compile(r" \[[^\]]*\] \[thrd:[^\]]*\]:|\(after \d+ms[^)]*\)")
"""The client's number and thread, and for how long: what differs from one attempt to the next."""
PASSING = "Coordinator load in progress: retrying"
"""End of a line about a broker that has just started: over within a second, and no trouble."""

OF_OTHERS = "and will be ignored by this"
"""An option of consumers given to a producer, or the reverse: every client is made with all."""


class Sparse(logging.Filter):
    """Shows a text, keeps it back for AGAIN_S, then shows it again with how many were kept back.

    What is PASSING is kept back the first time, too: it is shown if it has not passed by then.
    Debug records, which somebody asked for, and fatal ones pass. Safe from any thread.
    """

    def __init__(self) -> None:
        super().__init__()
        self._lock = threading.Lock()
        self._shown: dict[tuple[int, str], tuple[float, int]] = {}
        """(level, text) → when it was shown, how many were kept back since."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether to show the record; adds to its text how many like it were kept back."""
        if not logging.INFO <= record.levelno <= logging.ERROR:
            return True
        told = record.getMessage()
        if OF_OTHERS in told:
            return False
        text = record.levelno, _WHO_AND_WHEN.sub("", told)
        now = time.monotonic()
        with self._lock:
            first = now if told.endswith(PASSING) else now - AGAIN_S
            at, kept = self._shown.pop(text, (first, 0))
            if now - at < AGAIN_S:
                self._shown[text] = at, kept + 1
                return False
            self._shown[text] = now, 0
            if len(self._shown) > TEXTS_MAX:
                del self._shown[next(iter(self._shown))]
        if kept:
            record.msg, record.args = f"{told} ({kept} more like it since)", ()
        return True


def client_log() -> logging.Logger:
    """The log of every client of this process."""
    found = logging.getLogger(CLIENT_LOG)
    if not any(isinstance(each, Sparse) for each in found.filters):
        found.addFilter(Sparse())
    return found
