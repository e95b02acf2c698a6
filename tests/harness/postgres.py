"""A PostgreSQL of a test's own: the machine's programs, a free port, a folder of its own."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Self

from tests.harness.installed import missing
from tests.harness.other_clock import clock_off
from tests.harness.waiting import wait_until

from jobstream.broker.free_ports import choose_addresses

if TYPE_CHECKING:
    from types import TracebackType

START_S = 180.0
STOP_S = 120.0
"""Both guard against hanging only, so they are long enough for a busy machine."""
USER = "postgres"
"""Who runs it where this process is root, whom PostgreSQL refuses."""


def programs() -> Path:
    """The folder with `initdb` and `postgres`; ends the test where there is none."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=str)
    if not found and (there := shutil.which("initdb")):
        found = [Path(there)]
    if not found:
        missing("PostgreSQL")
    return found[-1].parent


class Postgres:
    """One server; `with Postgres() as server: server.url`."""

    def __init__(self, clock: str = "") -> None:
        """`clock`: its wall clock is off by as much, `-400d` for instance."""
        self._bin = programs()
        self._env = {**os.environ, **(clock_off(clock) if clock else {})}
        self._folder = Path(tempfile.mkdtemp(prefix="jobstream-postgres-"))
        self._as: dict[str, int | str] = {}
        if os.geteuid() == 0:
            user = pwd.getpwnam(USER)
            os.chown(self._folder, user.pw_uid, user.pw_gid)
            self._as = {"user": user.pw_uid, "group": user.pw_gid}
        self._port = int(choose_addresses(1, None)[0].port)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"postgresql://jobstream@127.0.0.1:{self._port}/postgres"

    def __enter__(self) -> Self:
        data = self._folder / "data"
        words: list[str | Path] = [self._bin / "initdb", "-D", data, "-A", "trust"]
        words += ["-U", "jobstream", "--no-sync"]
        subprocess.run(
            words,
            check=True,
            capture_output=True,
            timeout=START_S,
            cwd="/",
            **self._as,  # type: ignore[call-overload]
        )
        self.start()
        return self

    def start(self) -> None:
        settings = (
            f"port={self._port}", "listen_addresses=127.0.0.1", "unix_socket_directories=",
            "fsync=off", "shared_buffers=32MB",
        )  # fmt: skip
        words: list[str | Path] = [self._bin / "postgres", "-D", self._folder / "data"]
        for setting in settings:
            words += ["-c", setting]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(  # type: ignore[call-overload]
                words, stdout=log, stderr=log, cwd="/", env=self._env, **self._as
            )
        wait_until(self._answers, "PostgreSQL answers", limit_s=START_S)

    def _answers(self) -> bool:
        words: list[str | Path] = [self._bin / "pg_isready", "-h", "127.0.0.1"]
        words += ["-p", str(self._port)]
        return (
            subprocess.run(words, capture_output=True, check=False, timeout=START_S).returncode == 0
        )

    def stop(self, number: signal.Signals = signal.SIGQUIT) -> None:
        """End it at once, as a crash does; what was committed stays."""
        assert self._process is not None
        self._process.send_signal(number)
        self._process.wait(STOP_S)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self.stop()
        finally:
            shutil.rmtree(self._folder, ignore_errors=True)
