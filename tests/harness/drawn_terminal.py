"""A program in a terminal of its own: what it draws is read, keys are pressed, its end is seen."""

from __future__ import annotations

import fcntl
import os
import pty
import signal
import struct
import subprocess
import termios
import threading
from typing import TYPE_CHECKING, Any, Self

from tests.harness.waiting import TooLate, wait_until

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

LIMIT_S = 120.0
ALTERNATE, BACK = b"\x1b[?1049h", b"\x1b[?1049l"
"""The sequences that take a terminal's other screen, and give the first one back."""
LAST = b"\x1b[jobstream: it has ended]"
"""Written by ourselves once the process has ended."""


class DrawnTerminal:
    """A process whose three streams are one pseudo-terminal. Kept by one thread of a test."""

    def __init__(
        self,
        words: Sequence[str],
        folder: Path,
        environ: Mapping[str, str],
        size: tuple[int, int] = (130, 40),
    ) -> None:
        self._ours, theirs = pty.openpty()
        self._theirs = theirs
        self.resize(*size, is_told=False)
        self.before = termios.tcgetattr(theirs)
        self.process = subprocess.Popen(
            words, cwd=folder, env={"TERM": "xterm-256color", **environ},
            stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
        )  # fmt: skip
        self._drawn = bytearray()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(LIMIT_S)
        os.close(self._theirs)
        self._reader.join(LIMIT_S)
        os.close(self._ours)

    @property
    def drawn(self) -> bytes:
        """All that it wrote so far."""
        return bytes(self._drawn)

    @property
    def now(self) -> list[Any]:
        """How the terminal is set up."""
        return termios.tcgetattr(self._theirs)

    def press(self, keys: str) -> None:
        """Type that."""
        os.write(self._ours, keys.encode())

    def resize(self, columns: int, lines: int, *, is_told: bool = True) -> None:
        """Give it another size, as a window does."""
        fcntl.ioctl(self._ours, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        if is_told:
            os.killpg(self.process.pid, signal.SIGWINCH)  # No session has this terminal in front

    def sees(self, text: str, since: int = 0) -> int:
        """Wait until it has drawn that after so many bytes; returns how many it has drawn then."""

        def found() -> bool:
            if self.process.poll() is not None:
                self.ended()
                assert text.encode() in self._drawn, self.drawn[-3_000:]
            return text.encode() in self.drawn[since:]

        try:
            wait_until(found, f"{text!r} is drawn", limit_s=LIMIT_S)
        except TooLate as error:
            before = len(self.drawn)
            self.process.send_signal(signal.SIGABRT)  # With -X faulthandler: where its threads are.
            self.process.wait(LIMIT_S)
            where = self.drawn[before:].decode(errors="replace")
            message = f"{error}; drawn last: {self.drawn[before - 2_000 : before]!r}\n{where}"
            raise TooLate(message) from error
        return len(self._drawn)

    def ended(self) -> int:
        """Wait for its end, and until all is read that it has drawn; returns its exit code."""
        code = self.process.wait(LIMIT_S)
        if LAST not in self._drawn:
            os.write(self._theirs, LAST)  # behind all that it drew
        wait_until(lambda: LAST in self._drawn, "all is read that it drew", limit_s=LIMIT_S)
        return code

    def _read(self) -> None:
        while True:
            try:
                found = os.read(self._ours, 65_536)
            except OSError:  # The last one that had it open has closed it.
                return
            if not found:
                return
            self._drawn += found
