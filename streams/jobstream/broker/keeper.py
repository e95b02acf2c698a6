"""The small process between us and a JVM: it sees to it that the JVM ends when it should.

    python -S keeper.py attend PARENT_PID SCRATCH FOLDER CLAIM COMMAND...
    python -S keeper.py detach CLAIM COMMAND...

Both start COMMAND with a copy of the descriptor CLAIM, and print its process id. `attend` then
stays as long as COMMAND runs: if the parent is gone (also by kill -9) it kills COMMAND and removes
the directory SCRATCH, if one is named; if the keeper itself is killed, the kernel kills COMMAND.
`detach` leaves COMMAND alone. It imports the standard library and FOLDER/leash.py alone, because
it is run as a file and has to start in milliseconds.
"""

import contextlib
import functools
import os
import select
import shutil
import signal
import subprocess
import sys

POLL_S = 0.5


def attend(parent: int, scratch: str, folder: str, claim: int, command: list[str]) -> int:
    """Run `command` until it ends or `parent` does; its exit code, negative for a signal."""
    sys.path.append(folder)
    from leash import die_with  # type: ignore[import-not-found] # noqa: PLC0415  # found just now

    # The kernel's signal fires when the forking *thread* ends. In a program with threads that
    # is too early; this process has one thread, hence the detour through it.
    child = subprocess.Popen(  # noqa: S603  # the command comes from our own starter
        command,
        stdin=subprocess.DEVNULL,
        stdout=sys.stderr,
        pass_fds=(claim,),
        preexec_fn=functools.partial(die_with, os.getpid()),  # noqa: PLW1509  # safe: this process has one thread
    )
    report(child.pid)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda received, _frame: child.send_signal(received))
    _wait_for_either(parent, child)
    if child.poll() is None:
        child.kill()
        child.wait()
        if scratch:
            shutil.rmtree(scratch, ignore_errors=True)
    return child.wait()


def detach(claim: int, command: list[str]) -> None:
    """Start `command` in a session of its own and forget it; init will reap it."""
    child = subprocess.Popen(  # noqa: S603  # the command comes from our own starter
        command,
        stdin=subprocess.DEVNULL,
        stdout=sys.stderr,
        pass_fds=(claim,),
        start_new_session=True,
    )
    report(child.pid)
    # A normal exit would complain that the child still runs.
    os._exit(0)


def report(pid: int) -> None:
    """Tell the starter, which waits for this line, the number of the process it wanted."""
    sys.stdout.write(f"{pid}\n")
    sys.stdout.flush()


def _wait_for_either(parent: int, child: "subprocess.Popen[bytes]") -> None:
    if not hasattr(os, "pidfd_open"):
        _poll_for_either(parent, child)
        return
    try:
        watch = select.poll()  # unlike select, it takes any number a descriptor may have
        for pid in (parent, child.pid):
            watch.register(os.pidfd_open(pid), select.POLLIN)
    except OSError:  # the parent is gone, or the kernel is older than 5.3
        _poll_for_either(parent, child)
        return
    # The number may have been given to a stranger before we opened it.
    if os.getppid() == parent:
        watch.poll()


def _poll_for_either(parent: int, child: "subprocess.Popen[bytes]") -> None:
    while os.getppid() == parent:
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(timeout=POLL_S)
            return


if __name__ == "__main__":
    if sys.argv[1] == "detach":
        detach(int(sys.argv[2]), sys.argv[3:])
    code = attend(int(sys.argv[2]), sys.argv[3], sys.argv[4], int(sys.argv[5]), sys.argv[6:])
    sys.exit(code if code >= 0 else 128 - code)
