"""Children are kept running, told to stop once, killed at the second word, never left behind."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from tests.spoken import Spoken

from jobstream.cli.supervisor import Restarts
from jobstream.exits import REPLACE

if TYPE_CHECKING:
    from collections.abc import Iterator

WAIT_S = 120
# A parent that supervises two children running the code given to it.
PARENT = """
import asyncio, logging, sys
from jobstream.roles import stop_signals
from jobstream.cli.supervisor import Child, Restarts, Supervisor
stop_signals.AGAIN_S = 0.0
logging.basicConfig(stream=sys.stdout, format="%(message)s", level="INFO")
child = Child("0", [sys.executable, "-u", "-c", sys.argv[1]], sys.argv[2])
restarts = Restarts(first_s=0.05, cap_s=0.1, healthy_s=60)
supervisor = Supervisor([child] * 2, float(sys.argv[3]), restarts)
async def run(): return await supervisor.run()
exec(sys.argv[4])
sys.exit(asyncio.run(run()))
"""
# Signals are blocked and waited for: a handler could miss one that comes just before a pause.
# A line is one write: those of two children must not run into each other.
CHILD = """
import os, signal
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
os.write(1, b"up %d\\n" % os.getpid())
"""
SERVE = (
    CHILD
    + """
signal.sigwait({signal.SIGTERM})
os.write(1, b"drained\\n")
"""
)
# Ends by the signal itself, as a worker does that is told before it can listen.
DEAF = """
import os, signal
os.write(1, b"up %d\\n" % os.getpid())
while True: signal.pause()
"""
# The stop comes when a child is there, and before the supervisor has it.
STOPPED_AT_ONCE = """
start = asyncio.create_subprocess_exec
async def started(*command, **options):
    process = await start(*command, **options)
    supervisor.stop()
    return process
asyncio.create_subprocess_exec = started
"""
# A second stop comes when a child has ended by the first, and its end was not heard yet.
STOPPED_AGAIN_UNHEARD = """
import os
from asyncio.unix_events import ThreadedChildWatcher
wait = ThreadedChildWatcher._do_waitpid
async def stop(): supervisor.stop()
def waited(self, loop, pid, callback, args):
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    asyncio.run_coroutine_threadsafe(stop(), loop).result()
    wait(self, loop, pid, callback, args)
ThreadedChildWatcher._do_waitpid = waited
"""
# A signal that no child gets stands for a change of the code.
RENEWED_BY_USR1 = """
import signal
async def run():
    loop = asyncio.get_running_loop()
    signal.signal(signal.SIGUSR1, lambda *_: loop.call_soon_threadsafe(supervisor.renew))
    return await supervisor.run()
"""
# What it has started lives on, and holds the other end of its output.
OUTLIVED = """
import os, subprocess, sys, time
wait = "while True: __import__('time').sleep(60)"
left = subprocess.Popen([sys.executable, "-c", wait], start_new_session=True).pid
os.write(1, b"left %d\\n" % left)
os.write(1, b"up %d\\n" % os.getpid())
while True: time.sleep(60)
"""
STUBBORN = (
    CHILD
    + """
while signal.sigwait({signal.SIGTERM}): os.write(1, b"stubborn\\n")
"""
)


class Parent(Spoken):
    """A supervisor in a process of its own, and what its children say."""

    def __init__(self, code: str, prefix: str = "", leave_s: float = 60, more: str = "") -> None:
        process = subprocess.Popen(
            [sys.executable, "-u", "-c", PARENT, code, prefix, str(leave_s), more],
            stdout=subprocess.PIPE,
            text=True,
            process_group=0,
        )
        super().__init__(process, WAIT_S)

    def hear_all(self) -> list[str]:
        """Every line until the end of output: the parent and all children have left."""
        self._reader.join(WAIT_S)
        while not self._lines.empty():
            self.said.append(self._lines.get().strip())
        return self.said

    def close(self) -> None:
        self.process.kill()
        self.process.wait(WAIT_S)
        self._reader.join(WAIT_S)
        if self._reader.is_alive():  # children that outlived their parent hold the other end
            for line in [*self.said, *self._lines.queue]:
                if line.startswith("up "):
                    os.kill(int(line.split()[1]), signal.SIGKILL)

    def pids(self, times: int = 2) -> list[int]:
        return [int(line.split()[-1]) for line in self.hear("up ", times)]


@pytest.fixture
def parents() -> Iterator[list[Parent]]:
    made: list[Parent] = []
    yield made
    for parent in made:
        parent.close()


@pytest.mark.parametrize("code", [0, REPLACE])
def test_a_stop_while_a_child_leaves_to_be_replaced_is_no_failure(
    parents: list[Parent], code: int
) -> None:
    parents.append(parent := Parent(f"{SERVE}\nraise SystemExit({code})"))
    parent.pids()

    parent.process.send_signal(signal.SIGTERM)

    assert parent.process.wait(WAIT_S) == 0


def ended(pid: int) -> bool:
    """Wait until a process that is not our child is gone."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        watch = select.poll()
        watch.register(handle, select.POLLIN)
        return bool(watch.poll(WAIT_S * 1000))
    finally:
        os.close(handle)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_the_first_signal_lets_children_drain(parents: list[Parent], number: int) -> None:
    parents.append(parent := Parent(SERVE))
    pids = parent.pids()

    parent.process.send_signal(number)

    assert parent.process.wait(WAIT_S) == 0
    assert len(parent.hear("drained", 2)) == 2
    assert all(ended(pid) for pid in pids)


def test_a_ctrl_c_of_the_terminal_is_passed_on_once(parents: list[Parent]) -> None:
    parents.append(parent := Parent(SERVE))
    parent.pids()

    os.killpg(parent.process.pid, signal.SIGINT)

    assert parent.process.wait(WAIT_S) == 0
    assert len(parent.hear("drained", 2)) == 2


def test_a_child_that_ends_by_the_stop_itself_has_not_failed(parents: list[Parent]) -> None:
    parents.append(parent := Parent(DEAF))
    parent.pids()

    parent.process.terminate()

    assert parent.process.wait(WAIT_S) == 0


def test_a_child_that_starts_while_all_stop_is_told(parents: list[Parent]) -> None:
    parents.append(parent := Parent(DEAF, leave_s=10, more=STOPPED_AT_ONCE))

    assert parent.process.wait(WAIT_S) == 0


def test_an_end_that_was_not_heard_yet_is_no_failure(parents: list[Parent]) -> None:
    parents.append(parent := Parent(SERVE, more=STOPPED_AGAIN_UNHEARD))
    parent.pids()

    parent.process.terminate()

    assert parent.process.wait(WAIT_S) == 0


def test_a_child_that_starts_while_all_stop_may_take_no_longer_to_leave(
    parents: list[Parent],
) -> None:
    # A child begins with the mask of its parent: so it is deaf before it is told.
    blocked = "import signal; signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})"
    parents.append(parent := Parent(STUBBORN, leave_s=0.2, more=blocked + STOPPED_AT_ONCE))

    assert parent.process.wait(WAIT_S) == 1
    assert "killing" in parent.hear_all()


def test_the_second_signal_kills_at_once(parents: list[Parent]) -> None:
    parents.append(parent := Parent(STUBBORN))
    pids = parent.pids()

    parent.process.terminate()
    parent.hear("stubborn", 2)
    parent.process.terminate()

    assert parent.process.wait(WAIT_S) == 128 + signal.SIGTERM
    assert all(ended(pid) for pid in pids)


def test_a_drain_without_end_is_ended(parents: list[Parent]) -> None:
    parents.append(parent := Parent(STUBBORN, leave_s=0.2))
    pids = parent.pids()

    parent.process.terminate()

    assert parent.process.wait(WAIT_S) == 1
    assert all(ended(pid) for pid in pids)
    assert "killing" in parent.hear_all()


def test_a_child_that_dies_is_started_again(parents: list[Parent]) -> None:
    parents.append(parent := Parent(SERVE))
    first = parent.pids()

    os.kill(first[0], signal.SIGKILL)
    pids = parent.pids(times=3)

    assert "child_died" in parent.said
    assert len(set(pids)) == 3
    assert not ended_now(pids[1])


def ended_now(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_children_drain_when_the_parent_is_killed(parents: list[Parent]) -> None:
    parents.append(parent := Parent(SERVE))
    pids = parent.pids()

    parent.process.kill()

    assert all(ended(pid) for pid in pids)
    assert len(parent.hear("drained", 2)) == 2


def test_a_child_that_leaves_unasked_is_started_again_though_it_says_that_all_is_well(
    parents: list[Parent],
) -> None:
    parents.append(parent := Parent(SERVE))
    first = parent.pids()

    os.kill(first[0], signal.SIGTERM)
    pids = parent.pids(times=3)

    assert "child_left_unasked" in parent.said
    assert len(set(pids)) == 3
    assert not ended_now(pids[1])


def test_a_child_is_started_again_though_what_it_had_started_holds_its_output(
    parents: list[Parent],
) -> None:
    parents.append(parent := Parent(OUTLIVED, "worker | "))
    try:
        os.kill(parent.pids()[0], signal.SIGKILL)

        assert len(set(parent.pids(times=3))) == 3
    finally:
        for line in [*parent.said]:
            if "left " in line:
                os.kill(int(line.split()[-1]), signal.SIGKILL)


def test_a_renewal_lets_children_drain_and_starts_each_again(parents: list[Parent]) -> None:
    parents.append(parent := Parent(SERVE, more=RENEWED_BY_USR1))
    first = parent.pids()

    parent.process.send_signal(signal.SIGUSR1)

    again = parent.pids(times=4)
    assert len(set(again)) == 4
    assert len(parent.hear("drained", 2)) == 2
    assert all(ended(pid) for pid in first)
    assert not [line for line in parent.said if line.startswith("child_") and "started" not in line]
    parent.process.terminate()
    assert parent.process.wait(WAIT_S) == 0


def test_a_renewal_does_not_wait_for_a_pause(parents: list[Parent]) -> None:
    slow = "restarts = Restarts(first_s=3_600.0); supervisor._restarts = restarts\n"
    parents.append(parent := Parent(SERVE, more=slow + RENEWED_BY_USR1))
    os.kill(parent.pids()[0], signal.SIGKILL)
    parent.hear("child_died")

    parent.process.send_signal(signal.SIGUSR1)

    assert len(set(parent.pids(times=4))) == 4


def test_lines_are_passed_on_behind_a_prefix(parents: list[Parent]) -> None:
    long = "print('x' * 3_000_000); print('short', flush=True)"
    parents.append(parent := Parent(long, "worker | "))

    assert parent.hear("short", 2) == ["worker | short"] * 2


def test_pauses_double_up_to_a_cap_and_begin_anew() -> None:
    restarts, pauses, pause_s = Restarts(), [], 0.0
    for _ in range(7):
        pause_s = restarts.pause_s(pause_s, lived_s=0.5, code=1)
        pauses.append(pause_s)

    assert pauses == [1, 2, 4, 8, 16, 30, 30]
    assert restarts.pause_s(30, lived_s=60, code=1) == 1


def test_a_child_that_asks_for_it_is_replaced_at_once_unless_it_only_asks() -> None:
    restarts = Restarts()

    assert restarts.pause_s(8, lived_s=5, code=REPLACE) == 0
    assert restarts.pause_s(8, lived_s=0.2, code=REPLACE) == 16
