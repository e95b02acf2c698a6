"""Starts and stops one operating system process that runs a JVM, attended or detached.

Attended (the rule), a keeper process stands between us and the JVM and takes it down when we
die. Detached, the JVM is on its own, to be found again by process id and start time. It knows
command lines and signals and nothing about Kafka.
"""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from jobstream.broker.errors import BrokerStartError

_KEEPER = Path(__file__).with_name("keeper.py")
_POLL_S = 0.02


class JvmProcess:
    """A JVM that we started, with the process that we have to reap for it."""

    def __init__(self, command: list[str], *, output: Path, detached: bool) -> None:
        """Start `command`; what it prints is appended to `output`.

        Returns as soon as the process exists, which does not prove that Java runs in it.
        Raises `BrokerStartError` if it could not be started.
        """
        keeper = [sys.executable, "-S", "-E", str(_KEEPER), str(os.getpid())]
        with output.open("ab") as sink:
            # A session of its own keeps Ctrl-C in the terminal from reaching the broker
            # before the program has drained.
            self._child = subprocess.Popen(  # noqa: S603  # our own command line
                command if detached else [*keeper, *command],
                stdin=subprocess.DEVNULL,
                stdout=sink if detached else subprocess.PIPE,
                stderr=sink,
                start_new_session=True,
            )
        self.pid = self._child.pid if detached else self._read_pid(output)

    def _read_pid(self, output: Path) -> int:
        pipe = self._child.stdout
        assert pipe is not None, "an attended process is started with a pipe"  # noqa: S101
        with pipe:
            line = pipe.readline()
        if not line.strip():
            self._child.wait()
            message = f"the JVM could not be started; see {output}"
            raise BrokerStartError(message)
        return int(line)

    def exit_code(self) -> int | None:
        """The exit code once the process has ended, `None` while it runs; never blocks."""
        return self._child.poll()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the JVM; nothing happens if it has ended."""
        # While the child is not reaped its number cannot belong to a stranger. The keeper ends
        # in an instant after the JVM, and numbers are not reused within that instant.
        if self.exit_code() is None:
            send_signal(self.pid, number)

    def wait(self, deadline: float) -> bool:
        """Wait until the process has ended, at most until `time.monotonic()` is `deadline`."""
        try:
            self._child.wait(timeout=max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            return False
        return True

    def end(self, *, grace_s: float) -> None:
        """Ask with SIGTERM, insist with SIGKILL after `grace_s`; returns when it is gone."""
        self.signal(signal.SIGCONT)  # a frozen process would not hear the request
        self.signal(signal.SIGTERM)
        if not self.wait(time.monotonic() + grace_s):
            self.signal(signal.SIGKILL)
            self._child.wait()


def send_signal(pid: int, number: signal.Signals) -> None:
    """Send a signal to `pid`; nothing happens if there is no such process."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


def started_at(pid: int) -> str | None:
    """When process `pid` started, as text to compare; `None` if it is gone or a zombie.

    A process id and its start together name one process for good, a process id alone does not.
    """
    stat = Path(f"/proc/{pid}/stat")
    if stat.parent.parent.joinpath("self").exists():
        return _started_from_proc(stat)
    return _started_from_ps(pid)


def _started_from_proc(stat: Path) -> str | None:
    try:
        # The name in parentheses may hold spaces; what follows the last one does not.
        fields = stat.read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    state, ticks = fields[0], fields[19]  # proc(5): fields 3 and 22 of the whole line
    return None if state in {"Z", "X"} else ticks


def _started_from_ps(pid: int) -> str | None:
    shown = subprocess.run(  # noqa: S603  # fixed command, numeric argument
        ["/bin/ps", "-o", "state=,lstart=", "-p", str(pid)],
        capture_output=True,
        text=True,
        check=False,
    )
    state, _, start = shown.stdout.strip().partition(" ")
    return None if not state or state.startswith("Z") else start.strip()


def end_foreign(pid: int, started: str, *, grace_s: float) -> bool:
    """End a process that is not our child: SIGTERM, then SIGKILL after `grace_s`.

    Answers whether it was running. Blocks until it is gone. A process that has the number but
    another start time is left alone.
    """
    if started_at(pid) != started:
        return False
    send_signal(pid, signal.SIGCONT)
    send_signal(pid, signal.SIGTERM)
    limit = time.monotonic() + grace_s
    while started_at(pid) == started:
        if time.monotonic() > limit:
            send_signal(pid, signal.SIGKILL)
        time.sleep(_POLL_S)
    return True
