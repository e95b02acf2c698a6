"""Signals that ask to leave, in processes of their own: counted once, never lost, not inherited."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.harness.waiting import wait_until
from tests.spoken import Spoken

if TYPE_CHECKING:
    from collections.abc import Iterator

WAIT_S = 120
# Says what it was told, and ends when its input does. The first argument is AGAIN_S.
PROGRAM = """
import os, signal, sys
from jobstream.roles import stop_signals
from jobstream.roles.stop_signals import SIGNALS
stop_signals.AGAIN_S = float(sys.argv[1])
SIGNALS.supervised = "supervised" in sys.argv
def say(*words): print(*words, flush=True)
def fork_that_takes_signals():
    hears, says = os.pipe()
    pid = os.fork()
    if pid == 0:
        signal.signal(15, lambda *_: os._exit(7))
        os.write(says, b".")
        while True: signal.pause()
    os.read(hears, 1)
    os.kill(pid, 15)
    say("took", os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
with SIGNALS.serving(lambda n: say("stop", n), lambda n: say("again", n)):
    say("up", os.getpid())
    for line in sys.stdin:
        exec(line)
say("end")
"""
FORK = """pid = os.fork() or os.execvp("sleep", ["sleep", "60"]); say("forked", pid)\n"""
KILLED = "pid = os.fork() or signal.pause(); os.kill(pid, 15); say('died', os.waitpid(pid, 0)[1])\n"
# Imported by the worker: says that it is there, and stays.
SLOW = """
import os, sys, time
print("importing", os.getpid(), flush=True)
{more}
while True: time.sleep(0.05)
"""


class Told(Spoken):
    """A program under test, and its input."""

    def __init__(self, *command: str, cwd: Path | None = None) -> None:
        process = subprocess.Popen(
            [sys.executable, "-u", *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=cwd,
        )
        super().__init__(process, WAIT_S)

    def tell(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line)
        self.process.stdin.flush()

    def end(self) -> list[str]:
        """Close its input; all it said after "up"."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.hear("end")
        return self.said[1:-1]


@pytest.fixture
def started() -> Iterator[list[Told]]:
    made: list[Told] = []
    yield made
    for told in made:
        told.process.kill()
        told.process.wait(WAIT_S)
        assert told.process.stdin is not None
        told.process.stdin.close()


def program(started: list[Told], again_s: float, *options: str) -> Told:
    started.append(told := Told("-c", PROGRAM, str(again_s), *options))
    told.hear("up")
    return told


def test_what_follows_within_a_second_is_the_same_stop(started: list[Told]) -> None:
    told = program(started, 3600)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        told.process.send_signal(number)
    told.hear("stop")

    assert len(told.end()) == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_later_one_is_a_second_stop(started: list[Told], number: int) -> None:
    told = program(started, 0)
    told.process.send_signal(signal.SIGTERM)
    told.hear("stop 15")
    told.process.send_signal(number)

    told.hear(f"again {number:d}")


def test_a_hangup_is_a_stop_and_never_a_second_one(started: list[Told]) -> None:
    told = program(started, 0)
    told.process.send_signal(signal.SIGHUP)
    told.hear("stop 1")
    told.process.send_signal(signal.SIGHUP)

    assert told.end() == ["stop 1"]


def test_a_quit_ends_on_the_spot(started: list[Told]) -> None:
    told = program(started, 3600)
    told.process.send_signal(signal.SIGQUIT)

    assert told.process.wait(WAIT_S) == -signal.SIGQUIT


def test_under_a_supervisor_no_second_one_counts(started: list[Told]) -> None:
    told = program(started, 0, "supervised")
    told.process.send_signal(signal.SIGTERM)
    told.hear("stop 15")
    told.process.send_signal(signal.SIGTERM)

    assert told.end() == ["stop 15"]


def test_a_fork_dies_of_its_signal_and_its_parent_hears_nothing(started: list[Told]) -> None:
    told = program(started, 3600)
    told.tell(KILLED)
    told.hear("died 15")

    assert told.end() == ["died 15"]


def test_a_fork_that_takes_signals_of_its_own_tells_its_parent_nothing(
    started: list[Told],
) -> None:
    told = program(started, 3600)
    told.tell("fork_that_takes_signals()\n")
    told.hear("took 7")

    assert told.end() == ["took 7"]


def status_of(pid: int) -> dict[str, str]:
    with open(f"/proc/{pid}/status") as lines:  # noqa: PTH123 - of the kernel
        return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def test_what_a_program_starts_inherits_no_ignored_and_no_blocked_signal(
    started: list[Told],
) -> None:
    told = program(started, 3600)
    told.tell(FORK)
    pid = int(told.hear("forked")[0].split()[1])
    try:
        wait_until(
            lambda: "sleep" in status_of(pid)["Name"], "it is another program", limit_s=WAIT_S
        )
        status = status_of(pid)
        asks = sum(1 << (n - 1) for n in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP))
        assert not int(status["SigIgn"], 16) & asks
        assert not int(status["SigBlk"], 16) & asks
    finally:
        os.kill(pid, signal.SIGKILL)


def worker(folder: Path, more: str = "") -> list[str]:
    (folder / "slow.py").write_text(SLOW.format(more=more))
    return ["-m", "jobstream", "worker", "slow:app"]


# Found by every Python that starts: the command says when it loads, and goes on when it is told.
LOADS = """
import sys
class Slow:
    def find_spec(self, name, *_):
        if name == "jobstream.roles.stop_signals":
            sys.meta_path.remove(self)
            print("loads", flush=True)
            sys.stdin.readline()
sys.meta_path.insert(0, Slow())
"""


@pytest.fixture
def loads_slowly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sitecustomize.py").write_text(LOADS)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_stop_while_user_code_loads_leaves_with_0(
    started: list[Told], tmp_path: Path, number: int
) -> None:
    started.append(told := Told(*worker(tmp_path), cwd=tmp_path))
    told.hear("importing")

    told.process.send_signal(number)

    assert told.process.wait(WAIT_S) == 0


@pytest.mark.usefixtures("loads_slowly")
def test_a_stop_while_the_command_loads_waits_for_it(started: list[Told], tmp_path: Path) -> None:
    started.append(told := Told(*worker(tmp_path), cwd=tmp_path))
    told.hear("loads")

    told.process.send_signal(signal.SIGTERM)
    told.tell("go on\n")

    assert told.process.wait(WAIT_S) == 0


AWAY = """
from jobstream import App
from jobstream.kafka.client import admin_calls
admin_calls.WAIT_S = 3600.0  # It is to be stopped before it gives up.
app = App("shop", bootstrap_servers="127.0.0.1:1", metrics_port="off")
app.queue("mail")
"""


def asks_the_broker(pid: int) -> bool:
    names = []
    for task in Path("/proc", str(pid), "task").iterdir():
        with suppress(OSError):  # A thread that was listed may have ended.
            names.append((task / "comm").read_text())
    return any(name.startswith("rdk:") for name in names)


def test_a_stop_while_the_broker_is_away_does_not_wait_for_it(
    started: list[Told], tmp_path: Path
) -> None:
    (tmp_path / "away.py").write_text(AWAY)
    started.append(told := Told("-m", "jobstream", "worker", "away:app", cwd=tmp_path))
    wait_until(lambda: asks_the_broker(told.process.pid), "it asks the broker", limit_s=WAIT_S)

    told.process.terminate()

    # Without an answer it would fail with 1.
    assert told.process.wait(WAIT_S) == 0


UNSHARE = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"]
# A process whose parent is gone, and ends as soon as the kernel has given it another one.
ORPHAN = """
if os.fork() == 0:
    if os.fork() == 0:
        while os.getppid() != 1: pass
        os._exit(0)
    os._exit(0)
def others(): return [p for p in os.listdir("/proc") if p.isdigit() and int(p) > os.getpid()]
os.wait()
while others(): pass
print("reaped", os.getppid(), flush=True)
"""


def can_unshare() -> bool:
    return subprocess.run([*UNSHARE, "true"], capture_output=True, check=False).returncode == 0


def first_of(unshare: int) -> int:
    """The process that is number 1 in there, as it is called out here."""
    with open(f"/proc/{unshare}/task/{unshare}/children") as children:  # noqa: PTH123 - likewise
        return int((children.read().split() or ["0"])[0])


as_first = pytest.mark.skipif(
    not can_unshare(), reason="needs the right to make a pid namespace, as root has"
)


def start_as_first(started: list[Told], folder: Path, more: str = "") -> Told:
    words = worker(folder, more)
    script = f"import os; os.execvp('unshare', {[*UNSHARE, sys.executable, *words]!r})"
    started.append(told := Told("-c", script, cwd=folder))
    return told


@as_first
def test_process_1_reaps_orphans(started: list[Told], tmp_path: Path) -> None:
    told = start_as_first(started, tmp_path, ORPHAN)

    assert told.hear("reaped") == ["reaped 1"]


@as_first
def test_process_1_passes_a_stop_on_and_ends_as_the_command_did(
    started: list[Told], tmp_path: Path
) -> None:
    told = start_as_first(started, tmp_path)
    told.hear("importing")

    os.kill(first_of(told.process.pid), signal.SIGTERM)

    assert told.process.wait(WAIT_S) == 0


TAKES = """
import signal
signal.signal(signal.SIGUSR1, lambda *_: print("taken", flush=True))
print("takes", flush=True)
"""


@as_first
def test_process_1_passes_on_what_is_no_stop(started: list[Told], tmp_path: Path) -> None:
    told = start_as_first(started, tmp_path, TAKES)
    told.hear("takes")

    os.kill(first_of(told.process.pid), signal.SIGUSR1)

    told.hear("taken")


@as_first
def test_process_1_says_which_signal_killed_the_command(
    started: list[Told], tmp_path: Path
) -> None:
    told = start_as_first(started, tmp_path)
    told.hear("importing")

    os.kill(first_of(first_of(told.process.pid)), signal.SIGKILL)

    assert told.process.wait(WAIT_S) == 128 + signal.SIGKILL


@as_first
@pytest.mark.usefixtures("loads_slowly")
def test_a_stop_in_the_first_moments_of_process_1_is_not_lost(
    started: list[Told], tmp_path: Path
) -> None:
    told = start_as_first(started, tmp_path)
    told.hear("loads")

    os.kill(first_of(told.process.pid), signal.SIGTERM)
    told.tell("go on\n")

    assert told.process.wait(WAIT_S) == 0
