"""Operating system processes that run a JVM: ours, or one that was left running on purpose.

`AttendedJvm` dies with this program, through its keeper. `DetachedJvm` does not, and is found
again by process id and start time. Both know signals and waiting, and nothing about Kafka.
"""

import os
import signal
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from jobstream.broker.errors import BrokerStartError
from jobstream_processors.execute import leash

_LEASH = str(Path(leash.__file__).parent)
_KEEPER = Path(__file__).with_name("keeper.py")
_POLL_S = 0.02


class Jvm(ABC):
    """A JVM that was started, by this process or another one."""

    pid: int

    @abstractmethod
    def is_running(self) -> bool:
        """Whether the process exists; a frozen one does. Never blocks."""

    @abstractmethod
    def wait(self, deadline: float) -> bool:
        """Wait until it has ended, at most until `time.monotonic()` is `deadline`."""

    def signal(self, number: signal.Signals) -> None:
        """Send a signal; nothing happens if the process has ended."""
        if self.is_running():
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)


class AttendedJvm(Jvm):
    """A JVM that ends when this program does, however that happens."""

    def __init__(
        self, command: list[str], claim: int, *, output: Path, scratch: Path | None
    ) -> None:
        """Start `command` with a copy of the descriptor `claim`; `output` gets what it prints.

        Returns as soon as the process exists, which does not prove that Java runs in it.
        `scratch` is removed if this program dies without cleaning up. Raises
        `BrokerStartError` if the process could not be started.
        """
        arguments = ["attend", str(os.getpid()), str(scratch or ""), _LEASH, str(claim), *command]
        self._keeper = _run_keeper(arguments, claim, output)
        self.pid = _pid_from(self._keeper, output)

    def is_running(self) -> bool:
        """Whether its keeper runs, which reaps it and ends in the same instant."""
        return self._keeper.poll() is None

    def wait(self, deadline: float) -> bool:
        """As `Jvm` has it."""
        try:
            self._keeper.wait(timeout=max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            return False
        return True


class DetachedJvm(Jvm):
    """A JVM that outlives the program that started it, named by number and start time."""

    def __init__(self, pid: int, started: str) -> None:
        """Describe a process that exists, or did; see `start_detached`."""
        self.pid = pid
        self.started = started

    def is_running(self) -> bool:
        """Whether that very process still exists; a stranger with its number does not count."""
        return started_at(self.pid) == self.started

    def wait(self, deadline: float) -> bool:
        """As `Jvm` has it."""
        while self.is_running():
            if time.monotonic() > deadline:
                return False
            # Only its parent learns when a process ends.
            time.sleep(_POLL_S)
        return True


def start_detached(command: list[str], claim: int, *, output: Path) -> DetachedJvm:
    """Start `command` so that it survives this program; what it prints goes to `output`.

    It has a copy of the descriptor `claim`.

    Raises `BrokerStartError` if it could not be started, or ended at once.
    """
    launcher = _run_keeper(["detach", str(claim), *command], claim, output)
    pid = _pid_from(launcher, output)
    launcher.wait()
    started = started_at(pid)
    if started is None:
        message = f"the detached JVM ended at once; see {output}"
        raise BrokerStartError(message)
    return DetachedJvm(pid, started)


def end_all(jvms: Sequence[Jvm], *, grace_s: float) -> None:
    """SIGTERM to all, SIGKILL to what is left after `grace_s`; blocks until all are gone."""
    for jvm in jvms:
        # A stopped process keeps SIGTERM pending until it may go on.
        jvm.signal(signal.SIGCONT)
        jvm.signal(signal.SIGTERM)
    deadline = time.monotonic() + grace_s
    for jvm in jvms:
        jvm.wait(deadline)
    for jvm in jvms:
        jvm.signal(signal.SIGKILL)
    for jvm in jvms:
        jvm.wait(float("inf"))


def _run_keeper(arguments: list[str], claim: int, output: Path) -> "subprocess.Popen[bytes]":
    with output.open("ab") as sink:
        # A session of its own: Ctrl-C in the terminal must not reach the broker before the
        # program has drained.
        return subprocess.Popen(  # noqa: S603  # our own program and command line
            [sys.executable, "-S", "-E", str(_KEEPER), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=sink,
            pass_fds=(claim,),
            start_new_session=True,
        )


def _pid_from(keeper: "subprocess.Popen[bytes]", output: Path) -> int:
    assert keeper.stdout is not None, "a keeper is started with a pipe"  # noqa: S101
    with keeper.stdout as pipe:
        line = pipe.readline()
    if not line.strip():
        keeper.wait()
        message = f"the JVM could not be started; see {output}"
        raise BrokerStartError(message)
    return int(line)


def started_at(pid: int) -> str | None:
    """When process `pid` started, as text to compare; `None` if it is gone or a zombie."""
    # A number alone is given to a stranger sooner or later.
    if Path("/proc/self/stat").exists():
        return _started_from_proc(Path(f"/proc/{pid}/stat"))
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
