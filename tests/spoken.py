"""A process that a test has started, and the lines it says, to be waited for."""

from __future__ import annotations

import queue
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import subprocess


class Spoken:
    """Reads what a process says on a thread of its own. Used by one thread."""

    def __init__(self, process: subprocess.Popen[str], limit_s: float) -> None:
        """`limit_s` bounds each wait for a line."""
        self.process = process
        self.said: list[str] = []
        self._limit_s = limit_s
        self._lines: queue.Queue[str] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def hear(self, word: str, times: int = 1) -> list[str]:
        """Wait until so many lines have the word; those lines. The last line of all is empty."""
        while len(found := [line for line in self.said if word in line]) < times:
            try:
                line = self._lines.get(timeout=self._limit_s)
            except queue.Empty:
                line = ""
            assert line, f"{word!r} was said {len(found)} times of {times}: {self.said}"
            self.said.append(line.strip())
        return found

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as lines:
            for line in lines:
                self._lines.put(line)
        self._lines.put("")
