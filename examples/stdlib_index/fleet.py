"""Runs workers as processes of their own, kills one as an accident would, and stops the rest."""

from __future__ import annotations

import subprocess
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

from jobstream.testing.ledger import Kill

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from types import TracebackType
    from typing import Self

APP = "examples.stdlib_index.app:app"
STOP_S = 180.0
LOG_LINES_SHOWN = 20


class WorkerDied(Exception):
    """A worker ended that nobody had killed; the message shows the end of its log."""


class Fleet:
    """Some `jobstream worker` processes; leaving the `with` block ends every one."""

    def __init__(self, workers: int, folder: Path, environment: Mapping[str, str]) -> None:
        self._count = workers
        self._folder = folder
        self._environment = dict(environment)
        self._workers: dict[int, subprocess.Popen[bytes]] = {}
        self.kills: list[Kill] = []

    def __enter__(self) -> Self:
        """Nothing runs yet."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Kill whatever still runs."""
        for worker in self._workers.values():
            with suppress(ProcessLookupError):
                worker.kill()
            worker.wait()

    def command(self, *arguments: str) -> str:
        """What a `jobstream` command prints; its errors go to ours. Raises CalledProcessError."""
        return subprocess.check_output(  # noqa: S603 - our own interpreter, module and arguments
            [sys.executable, "-m", "jobstream", *arguments], env=self._environment, text=True
        )

    def start(self) -> None:
        """Start the workers; they need not serve yet on return."""
        for number in range(1, self._count + 1):
            self._start(number)

    def pids(self) -> dict[int, int]:
        """Worker number → process id."""
        return {number: worker.pid for number, worker in self._workers.items()}

    def check(self) -> None:
        """Raise WorkerDied if a worker ended by itself."""
        for number, worker in self._workers.items():
            if worker.poll() is not None:
                lines = self._log(number).read_text(encoding="utf-8").splitlines()
                shown = "\n".join(lines[-LOG_LINES_SHOWN:])
                message = f"worker {number} ended with code {worker.returncode}:\n{shown}"
                raise WorkerDied(message)

    def kill_and_replace(self, number: int) -> None:
        """End a worker with SIGKILL, in the middle of whatever it does, and start a new one."""
        worker = self._workers[number]
        worker.kill()
        worker.wait()
        self.kills.append(Kill.now(worker.pid))
        self._start(number)

    def stop(self) -> None:
        """Let all workers drain and leave; blocks. Raises TimeoutExpired after STOP_S."""
        for worker in self._workers.values():
            worker.terminate()
        for worker in self._workers.values():
            worker.wait(STOP_S)

    def _start(self, number: int) -> None:
        with self._log(number).open("ab") as log:
            self._workers[number] = subprocess.Popen(  # noqa: S603 - our own interpreter and module
                [sys.executable, "-m", "jobstream", "worker", APP],
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def _log(self, number: int) -> Path:
        return self._folder / f"worker-{number}.log"
