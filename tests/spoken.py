"""Processes that a test has started, and the lines they say, to be waited for."""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeAlias

from tests.harness.patience import ENQUEUES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

Start: TypeAlias = "Callable[..., Spoken]"
"""Starts Python with some words; names give it more environment."""


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

    def everything(self) -> list[str]:
        """All it ever said, once it has ended; blocks until that is read."""
        self._reader.join(self._limit_s)
        while not self._lines.empty():
            self.said.append(self._lines.get().strip())
        return [f"{self.process.args!r}:", *self.said]

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as lines:
            for line in lines:
                self._lines.put(line)
        self._lines.put("")


@contextmanager
def programs(folder: Path, environ: Mapping[str, str], limit_s: float) -> Iterator[Start]:
    """Starts Python in that folder, in this environment and more; stops at the end what runs on."""
    started: list[Spoken] = []

    def start(*words: str, **more: str) -> Spoken:
        process = subprocess.Popen(
            [sys.executable, *words],
            cwd=folder,
            env={**os.environ, **environ, **more},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        started.append(Spoken(process, limit_s))
        return started[-1]

    try:
        yield start
    finally:
        for spoken in started:
            if spoken.process.poll() is None:
                spoken.process.send_signal(signal.SIGTERM)
        for spoken in started:
            spoken.process.wait(limit_s)
            print(*spoken.everything(), sep="\n")  # noqa: T201 - pytest shows it where a test failed


def of_broker(bootstrap_servers: str, folder: Path) -> dict[str, str]:
    """The environment of programs that talk to that broker and keep their state in the folder."""
    return {
        "JOBSTREAM_BOOTSTRAP_SERVERS": bootstrap_servers,
        **ENQUEUES,
        "JOBSTREAM_STATE_DIR": str(folder / "state"),
    }
