"""With SQLite one relay of an app works at a time: others wait for the lock of a file beside it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from jobstream.file_lock import try_lock
from jobstream.sql.database_url import file_of

if TYPE_CHECKING:
    from sqlalchemy import Engine


class OneRelay:
    """The right to publish rows of an app. In PostgreSQL each relay has it: they share lanes there.

    The kernel gives it back when its holder ends, however it ends.
    """

    def __init__(self, engine: Engine, app: str) -> None:
        self._path = None
        if engine.dialect.name == "sqlite":
            # One file for all names of the database, and one for each app that writes into it. An
            # app's name is of letters that any file may have.
            self._path = Path(f"{file_of(engine.url)}-relay-{app}")
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
