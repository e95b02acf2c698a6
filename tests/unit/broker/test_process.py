"""No process is left behind, whoever dies first; a detached one is known by more than a number."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from jobstream.broker import BrokerStartError
from jobstream.broker.broker_folder import claimed, give_up_claim
from jobstream.broker.broker_process import (
    AttendedJvm,
    DetachedJvm,
    end_all,
    start_detached,
    started_at,
)
from jobstream.file_lock import try_lock

if TYPE_CHECKING:
    from collections.abc import Iterator

LIMIT_S = 120
SLEEP = ["sleep", "600"]
DEAF_PROGRAM = """
import signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("deaf", flush=True)
while True:
    signal.pause()
"""
DEAF = [sys.executable, "-c", DEAF_PROGRAM]
STARTER = """
import sys
from pathlib import Path
from jobstream.broker.broker_process import AttendedJvm, start_detached
from jobstream.broker.broker_folder import claimed
folder = Path(sys.argv[2])
claim = claimed(folder)
if sys.argv[1] == "attended":
    jvm = AttendedJvm(["sleep", "600"], claim, output=folder / "out", scratch=folder / "scratch")
else:
    jvm = start_detached(["sleep", "600"], claim, output=folder / "out")
print(jvm.pid, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def claim(tmp_path: Path) -> Iterator[int]:
    descriptor = claimed(tmp_path)
    yield descriptor
    give_up_claim(descriptor)


def in_time() -> float:
    return time.monotonic() + LIMIT_S


def another_program(kind: str, folder: Path) -> tuple[subprocess.Popen[str], DetachedJvm]:
    """A Python program that starts a process and waits; and that process, as a stranger sees it."""
    starter = subprocess.Popen(
        [sys.executable, "-c", STARTER, kind, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert starter.stdout is not None
    pid = int(starter.stdout.readline())
    started = started_at(pid)
    assert started is not None
    return starter, DetachedJvm(pid, started)


def kill_program(starter: subprocess.Popen[str]) -> None:
    starter.kill()
    starter.communicate()


def keeper_of(pid: int) -> int:
    """The parent process of `pid` (proc(5): field 4 of stat)."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def wait_until_it_watches(keeper: int, jvm: DetachedJvm) -> None:
    """Until the keeper sleeps on its process descriptors, past its first look at its parent."""
    limit = in_time()
    while not is_watching(keeper):
        assert time.monotonic() < limit
        assert not jvm.wait(time.monotonic() + 0.02), "it ended by itself"


def is_watching(keeper: int) -> bool:
    opened = [str(fd.readlink()) for fd in Path(f"/proc/{keeper}/fd").iterdir()]
    state = Path(f"/proc/{keeper}/stat").read_text().rpartition(")")[2].split()[0]
    return state == "S" and any("pidfd" in target for target in opened)


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize("moment", ["at once", "later"])
def test_attended_process_dies_with_a_killed_program(tmp_path: Path, moment: str) -> None:
    (tmp_path / "scratch").mkdir()
    starter, jvm = another_program("attended", tmp_path)
    keeper = keeper_of(jvm.pid)
    keeper_started = started_at(keeper)
    assert keeper_started is not None
    if moment == "later":
        wait_until_it_watches(keeper, jvm)

    kill_program(starter)

    assert jvm.wait(in_time())
    assert DetachedJvm(keeper, keeper_started).wait(in_time())
    assert not (tmp_path / "scratch").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child of its parent's end")
def test_attended_process_dies_with_its_keeper(tmp_path: Path) -> None:
    starter, jvm = another_program("attended", tmp_path)

    os.kill(keeper_of(jvm.pid), signal.SIGKILL)

    assert jvm.wait(in_time())
    kill_program(starter)


def test_detached_process_outlives_a_killed_program(tmp_path: Path) -> None:
    starter, jvm = another_program("detached", tmp_path)

    kill_program(starter)

    assert jvm.is_running()
    assert try_lock(tmp_path / "in-use") is None, "the process holds the directory"
    end_all([jvm], grace_s=LIMIT_S)
    assert not jvm.is_running()
    give_up_claim(claimed(tmp_path))


def test_frozen_process_is_running_and_still_ends(tmp_path: Path, claim: int) -> None:
    jvm = AttendedJvm(SLEEP, claim, output=tmp_path / "out", scratch=None)

    jvm.signal(signal.SIGSTOP)

    assert jvm.is_running()
    end_all([jvm], grace_s=LIMIT_S)
    assert started_at(jvm.pid) is None


def test_deaf_process_is_killed_after_its_grace(tmp_path: Path, claim: int) -> None:
    jvm = AttendedJvm(DEAF, claim, output=tmp_path / "out", scratch=None)
    limit = in_time()
    while "deaf" not in (tmp_path / "out").read_text():
        assert not jvm.wait(time.monotonic() + 0.05), "it ended by itself"
        assert time.monotonic() < limit

    end_all([jvm], grace_s=0.1)

    assert started_at(jvm.pid) is None
    assert not jvm.is_running()


def test_command_that_does_not_exist_is_a_start_error(tmp_path: Path, claim: int) -> None:
    for start in (
        lambda: AttendedJvm(["/no/such/java"], claim, output=tmp_path / "out", scratch=None),
        lambda: start_detached(["/no/such/java"], claim, output=tmp_path / "out"),
    ):
        with pytest.raises(BrokerStartError, match=str(tmp_path / "out")):
            start()
    assert "/no/such/java" in (tmp_path / "out").read_text()


def test_stranger_with_the_same_number_is_left_alone(tmp_path: Path, claim: int) -> None:
    real = AttendedJvm(SLEEP, claim, output=tmp_path / "out", scratch=None)
    impostor = DetachedJvm(real.pid, "another start")

    end_all([impostor], grace_s=0)

    # Asked of the process itself: its keeper would need a moment to notice a death.
    assert started_at(real.pid) is not None
    end_all([real], grace_s=LIMIT_S)


def test_zombie_and_nobody_have_no_start() -> None:
    child = subprocess.Popen([sys.executable, "-c", ""])
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)

    assert started_at(child.pid) is None, "a zombie runs nothing"
    child.wait()
    assert started_at(child.pid) is None
    assert started_at(os.getpid())
