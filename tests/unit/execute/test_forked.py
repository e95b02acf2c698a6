"""What a handler forks and starts in a child process has no part in it: its signals, its pipe."""

from __future__ import annotations

import asyncio
import importlib
import os
import signal
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from jobstream.kafka.client.broker_clock import MACHINE
from jobstream_processors.core.outcome import DONE, Crashed
from jobstream_processors.execute.on_processes import ProcessExecutor
from jobstream_processors.job_types import PROCESS
from jobstream_schemas import JobCodec

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.execute.conftest import Ear

HOUR_MS = 3_600_000
HANDLERS = """
import multiprocessing, os, signal, subprocess, sys, threading
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

@dataclass(frozen=True)
class Parcel:
    to: str

IGNORED = '''
import os, pathlib
status = pathlib.Path("/proc/self/status").read_text()
ignored = int(next(l for l in status.splitlines() if l.startswith("SigIgn")).split()[1], 16)
sockets = [fd for fd in os.listdir("/proc/self/fd") if os.path.exists(f"/proc/self/fd/{fd}")
           and os.readlink(f"/proc/self/fd/{fd}").startswith("socket")]
assert not ignored & 1 << 1, f"SIGINT is ignored: {ignored:x}"
assert not sockets, sockets
'''

def starts_a_program(parcel):
    subprocess.run([sys.executable, "-c", IGNORED], check=True, close_fds=False)

def square(number):
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    return number * number

def forks_a_pool(parcel):
    context = multiprocessing.get_context("fork")
    with context.Pool(2) as pool:
        assert pool.map(square, [1, 2, 3]) == [1, 4, 9]
    with ProcessPoolExecutor(2, mp_context=context) as pool:
        assert list(pool.map(square, [1, 2])) == [1, 4]

def leaves_a_process_behind(parcel):
    forked = os.fork() or signal.pause()
    (Path(__file__).parent / "forked").write_text(str(forked))
    os._exit(7)
"""


@pytest.fixture
def parcels(ear: Ear, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Job types of handlers that children can import."""
    name = f"forking_{os.getpid()}_{tmp_path.name}"
    (tmp_path / f"{name}.py").write_text(HANDLERS)
    monkeypatch.syspath_prepend(str(tmp_path))
    module: Any = importlib.import_module(name)
    for job in ("starts_a_program", "forks_a_pool", "leaves_a_process_behind"):
        spec = ear.shop.handle(job, getattr(module, job), PROCESS, timeout_ms=HOUR_MS)
        ear.shop.specs[job] = replace(spec, codec=JobCodec(module.Parcel, job))


def run(ear: Ear, job: str) -> None:
    """Run one job of that type in a child."""

    async def main() -> None:
        executor = ProcessExecutor(1, ear.ended, machine=MACHINE)
        try:
            executor.submit(ear.delivery("a", job))
            await ear.outcome("a")
        finally:
            executor.close()

    asyncio.run(main())


@pytest.mark.usefixtures("parcels")
@pytest.mark.parametrize("job", ["starts_a_program", "forks_a_pool"])
def test_what_a_child_starts_is_as_if_started_from_anywhere(ear: Ear, job: str) -> None:
    run(ear, job)

    assert ear.outcomes == {"a": DONE}


@pytest.mark.usefixtures("parcels")
def test_a_process_that_outlives_its_child_hides_no_death(ear: Ear, tmp_path: Path) -> None:
    try:
        run(ear, "leaves_a_process_behind")
    finally:
        os.kill(int((tmp_path / "forked").read_text()), signal.SIGKILL)

    assert ear.outcomes == {"a": Crashed("its process died: exit code 7")}
