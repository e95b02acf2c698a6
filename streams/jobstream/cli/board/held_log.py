"""Log records while the board draws: kept, and written to stderr once the terminal is free."""

from __future__ import annotations

import logging
from collections import deque
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

KEPT_MAX = 200
"""Records; of more, the oldest are dropped and counted."""
AUDIT = "jobstream.audit"


class HeldRecords(logging.Handler):
    """Keeps the newest records. Safe in any thread."""

    def __init__(self) -> None:
        super().__init__()
        self.kept: deque[logging.LogRecord] = deque(maxlen=KEPT_MAX)
        self.dropped = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Keep it; called with the handler's lock."""
        self.dropped += len(self.kept) == KEPT_MAX
        self.kept.append(record)


@contextmanager
def log_held() -> Iterator[None]:
    """Nothing of the log is written inside of the block; then it is, lines of audit included."""
    root, audit, held = logging.getLogger(), logging.getLogger(AUDIT), HeldRecords()
    handlers, level = root.handlers[:], audit.level
    root.handlers[:] = [held]
    audit.setLevel(logging.INFO)
    try:
        yield
    finally:
        root.handlers[:] = handlers
        audit.setLevel(level)
        for record in held.kept:
            root.handle(record)
        if held.dropped:
            logging.getLogger("jobstream.top").warning(
                "log_records_dropped", extra={"records": held.dropped}
            )
