"""Sees when Python files change, by their times and sizes.

A scan of a hundred files costs a millisecond. It also works where the kernel reports no change:
in shared folders of containers and virtual machines.
"""

from __future__ import annotations

import asyncio
import os
import time
from contextlib import suppress
from pathlib import Path

from jobstream_processors.background import aside

EVERY_S = 0.5
SHARE = 0.1
"""Of the time, looking may take so much at most: in a huge folder looks are rarer."""
_NO_CODE = frozenset({"__pycache__", "node_modules", "site-packages"})
_VENV = "pyvenv.cfg"

Stamps = dict[str, tuple[int, int]]


class WatchedCode:
    """The Python files below a folder. Those of hidden folders and environments are left out."""

    def __init__(self, folder: Path, every_s: float = EVERY_S) -> None:
        self._folder = folder
        self._every_s = every_s
        self._seen = stamps(folder)

    async def change(self) -> list[str]:
        """Wait until files differ from when this last returned, and rest: their names, in order.

        So no change is lost that comes between two calls, and a checkout of many files is one.
        """
        latest, pause_s = self._seen, self._every_s
        while True:
            await asyncio.sleep(pause_s)
            began = time.perf_counter()
            found = await aside("jobstream-look", stamps, self._folder)
            pause_s = max(self._every_s, (time.perf_counter() - began) / SHARE)
            if found == latest and found != self._seen:
                names = found.keys() | self._seen.keys()
                changed = [name for name in names if found.get(name) != self._seen.get(name)]
                self._seen = found
                return sorted(changed)
            latest = found


def stamps(folder: Path) -> Stamps:
    """When each Python file below the folder was written, and its size, by its relative path."""
    found: Stamps = {}
    for at, folders, files in os.walk(folder):
        if _VENV in files and Path(at) != folder:
            folders.clear()
            continue
        folders[:] = [n for n in folders if not n.startswith(".") and n not in _NO_CODE]
        for name in files:
            if name.endswith(".py"):
                path = Path(at, name)
                with suppress(OSError):  # It has just gone.
                    told = path.stat()
                    found[str(path.relative_to(folder))] = (told.st_mtime_ns, told.st_size)
    return found
