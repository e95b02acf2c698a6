"""A newcomer at two terminals, with a fresh environment and none of this repository's."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import threading
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.harness.patience import ENQUEUES

from jobstream.broker.free_ports import choose_addresses

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

STOP_SECONDS_MAX = 180
LIMIT_S = 180
INSTALL_SECONDS_MAX = 600
SERVES = "ready role=worker"
PIN = re.compile(r"^([A-Za-z0-9._-]+==\S+(?: *; *[^\\\n]+)?)", re.MULTILINE)


def locked_versions(root: Path, folder: Path) -> Path:
    """Constraints for pip, without the hashes: what is built of this repository can't have one."""
    path = folder / "constraints.txt"
    path.write_text("\n".join(PIN.findall((root / "requirements.lock").read_text())))
    return path


def environment_of(programs: Path, folder: Path) -> dict[str, str]:
    """A user's environment: nothing of this repository, a port of its own, state in `folder`."""
    kept = {
        k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "JOBSTREAM_", "COV"))
    }
    port = choose_addresses(1, None)[0].port  # none that a client of another test may take
    # Where Kafka's jars are kept may be set for a whole machine; nothing else is handed on.
    cache = {k: v for k, v in os.environ.items() if k == "JOBSTREAM_CACHE_DIR"}
    return {
        **kept,
        **cache,
        "PATH": f"{programs}:/usr/bin:/bin",
        "JOBSTREAM_BOOTSTRAP_SERVERS": f"127.0.0.1:{port}",
        **ENQUEUES,
        "JOBSTREAM_STATE_DIR": str(folder / "state"),
    }


def processes_of(folder: Path) -> Iterator[str]:
    """Command lines of processes that know `folder`, by argument or environment."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command, known = (process / "cmdline").read_bytes(), (process / "environ").read_bytes()
        except OSError:
            continue
        if os.fsencode(folder) in command + known:
            yield command.replace(b"\0", b" ").decode(errors="replace")


class Terminal:
    """A program in a terminal of its own; what it prints can be waited for."""

    def __init__(self, command: list[str], folder: Path, environment: Mapping[str, str]) -> None:
        self._process = subprocess.Popen(
            command,
            cwd=folder,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self._changed = threading.Condition()
        self._said: list[str] = []
        self._is_over = False
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def wait_for(self, text: str, deadline: float, times: int = 1) -> str:
        """Until so many lines hold `text`: the last of them; fails with all that was printed."""
        with self._changed:
            while len(found := [line for line in self._said if text in line]) < times:
                left = deadline - time.monotonic()
                if self._is_over or left <= 0:
                    pytest.fail(f"{text!r} was not printed:\n{''.join(self._said)}")
                self._changed.wait(left)
            return found[-1]

    def press_ctrl_c(self) -> int:
        """The exit code; every process of the terminal gets the signal, as by the keyboard."""
        os.killpg(self._process.pid, signal.SIGINT)
        return self._process.wait(STOP_SECONDS_MAX)

    def close(self) -> None:
        """Leave nothing behind, however the test ended."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._reader.join()
        assert self._process.stdout is not None
        self._process.stdout.close()

    def said(self) -> str:
        """All that was printed."""
        with self._changed:
            return "".join(self._said)

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            with self._changed:
                self._said.append(line)
                self._changed.notify_all()
        with self._changed:
            self._is_over = True
            self._changed.notify_all()


class User:
    """Types commands into a second terminal, in the folder of the app."""

    def __init__(self, installed: Path, folder: Path, environment: Mapping[str, str]) -> None:
        self._installed = installed
        self._folder = folder
        self._environment = environment

    def types(self, words: list[str], code: int = 0) -> str:
        """What the command prints, after a failure with what it says beside; held to that code."""
        ran = subprocess.run(
            [str(self._installed / words[0]), *words[1:]],
            cwd=self._folder,
            env=dict(self._environment),
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )
        assert ran.returncode == code, f"{words}: {ran.returncode}\n{ran.stdout}{ran.stderr}"
        assert "WARNING" not in ran.stderr, f"{words}: a newcomer would wonder: {ran.stderr}"
        return ran.stdout if code == 0 else ran.stdout + ran.stderr


@contextmanager
def developed(
    command: list[str], installed: Path, folder: Path, environment: Mapping[str, str]
) -> Iterator[Terminal]:
    """`jobstream dev` in the first terminal, its worker serving: so brokers answer, too."""
    terminal = Terminal([str(installed / command[0]), *command[1:]], folder, environment)
    try:
        terminal.wait_for(SERVES, time.monotonic() + LIMIT_S)
        yield terminal
        terminal.press_ctrl_c()
    finally:
        terminal.close()
