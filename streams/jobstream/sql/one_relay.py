"""With SQLite one relay works at a time: the others stand by for the lock of a file beside it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from jobstream.file_lock import try_lock

if TYPE_CHECKING:
    from sqlalchemy import Engine


class OneRelay:
    """The right to publish. In PostgreSQL everybody has it: relays share the lanes there.

    The kernel gives it back when its holder ends, however it ends.
    """

    def __init__(self, engine: Engine) -> None:
        self._path = None
        if engine.dialect.name == "sqlite":
            self._path = Path(f"{engine.url.database}-relay")
        self._lock: int | None = None

    def is_mine(self) -> bool:
        """Whether it is this process's, now and until `close`. Does not wait.

        Raises OSError where the folder can't be written.
        """
        if self._path is not None and self._lock is None:
            self._lock = try_lock(self._path, os.O_CREAT)
        return self._path is None or self._lock is not None

    def close(self) -> None:
        """Leave it to another."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None
