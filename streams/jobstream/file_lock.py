"""A lock between processes, kept by the kernel on an open file: it ends with its holder."""

from __future__ import annotations

import fcntl
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def try_lock(path: Path, flags: int = 0) -> int | None:
    """The descriptor that now holds the file's lock, or None while another one holds it.

    `flags` are more of those to open it with. Raises OSError where it can't be opened or locked.
    """
    lock = os.open(path, os.O_RDWR | os.O_CLOEXEC | flags, 0o644)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return None
    except OSError:
        os.close(lock)
        raise
    return lock
