"""Children of the process executor and signals that ask their worker to leave."""

from __future__ import annotations

import asyncio
import dataclasses
import importlib
import os
import signal
import subprocess
from typing import TYPE_CHECKING

import pytest

from jobstream.kafka.client.broker_clock import MACHINE
from jobstream_processors.core.outcome import DONE
from jobstream_processors.core.retry import Backoff
from jobstream_processors.execute.on_processes import ProcessExecutor
from jobstream_processors.job_types import PROCESS
from jobstream_schemas import JobCodec

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.execute.conftest import Ear

ASKS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
HANDLER = """
import os, signal, subprocess
from dataclasses import dataclass
from pathlib import Path

PLACE = Path(__file__).parent

@dataclass(frozen=True)
class Parcel:
    to: str

def outlives(parcel):
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        os.kill(os.getpid(), number)
    look = ["grep", "Sig[IB][gl][nk]", "/proc/self/status"]
    (PLACE / "inherited").write_bytes(subprocess.run(look, capture_output=True).stdout)
    forked = os.fork() or signal.pause()
    os.kill(forked, signal.SIGTERM)
    (PLACE / "forked").write_text(str(os.waitpid(forked, 0)[1]))
"""


@pytest.fixture
def job(ear: Ear, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a job whose handler sends itself every signal and notes what others inherit."""
    name = f"outlives_{os.getpid()}_{tmp_path.name}"
    (tmp_path / f"{name}.py").write_text(HANDLER)
    monkeypatch.syspath_prepend(str(tmp_path))
    module = importlib.import_module(name)
    spec = ear.shop.handle("outlives", module.outlives, PROCESS, Backoff(attempts=1))
    codec = JobCodec(module.Parcel, "outlives")
    ear.shop.specs["outlives"] = dataclasses.replace(spec, codec=codec, wants_context=False)
    return "outlives"


def run(ear: Ear, job: str) -> None:
    async def main() -> None:
        executor = ProcessExecutor(1, ear.ended, machine=MACHINE)
        try:
            executor.submit(ear.delivery("a", job))
            assert await ear.outcome("a") == DONE
        finally:
            executor.close()

    asyncio.run(main())


def test_a_child_outlives_a_stop_and_what_it_starts_does_not(
    ear: Ear, job: str, tmp_path: Path
) -> None:
    run(ear, job)

    told = (tmp_path / "inherited").read_text().splitlines()
    masks = {line.split()[0]: int(line.split()[1], 16) for line in told}
    assert masks.keys() == {"SigBlk:", "SigIgn:"}
    assert not any(mask & sum(1 << (n - 1) for n in ASKS) for mask in masks.values())
    assert int((tmp_path / "forked").read_text()) == signal.SIGTERM


def test_a_child_that_just_starts_outlives_a_stop(
    ear: Ear, job: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Stopped(subprocess.Popen[bytes]):
        def __init__(self, command: list[str], *, pass_fds: list[int], stdin: int) -> None:
            super().__init__(command, pass_fds=pass_fds, stdin=stdin)
            self.terminate()  # in the moment it is there

    with monkeypatch.context() as patched:
        patched.setattr(subprocess, "Popen", Stopped)
        run(ear, job)
