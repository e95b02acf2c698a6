"""Children that end before they begin a job, too late, or with an answer that is none."""

from __future__ import annotations

import asyncio
import importlib
import os
import signal
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.harness.waiting import wait_until
from tests.unit.execute.conftest import Overheard

from jobstream.kafka.client.broker_clock import MACHINE
from jobstream_processors.core.outcome import DONE, Crashed, Interrupted, Unstarted
from jobstream_processors.execute.crossing import RETURNS
from jobstream_processors.execute.on_processes import ProcessExecutor
from jobstream_processors.job_types import PROCESS
from jobstream_schemas import JobCodec

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from tests.unit.execute.conftest import Ear

HOUR_MS = 3_600_000
LIMIT_S = 120.0
HANDLERS = """
import os, threading
from dataclasses import dataclass
from pathlib import Path

PLACE = Path(__file__).parent

@dataclass(frozen=True)
class Parcel:
    to: str

def signs(parcel):
    with (PLACE / "signed").open("a") as book:
        book.write(f"{os.getpid()} ")

def stays(parcel):
    (PLACE / "staying").touch()
    while not (PLACE / "go").exists():
        threading.Event().wait(0.01)

def babbles(parcel):
    for descriptor in range(3, 64):
        try:
            os.write(descriptor, b"\\0\\0\\0\\7what?!?")
        except OSError:
            pass
"""


@pytest.fixture
def parcels(ear: Ear, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:  # noqa: ANN401 - a module made here
    """A module that children can import, each of its handlers declared as a job type."""
    name = f"ends_{os.getpid()}_{tmp_path.name}"
    (tmp_path / f"{name}.py").write_text(HANDLERS)
    monkeypatch.syspath_prepend(str(tmp_path))
    module: Any = importlib.import_module(name)
    for job in ("signs", "babbles", "stays"):
        spec = ear.shop.handle(job, getattr(module, job), PROCESS, timeout_ms=HOUR_MS)
        ear.shop.specs[job] = replace(spec, codec=JobCodec(module.Parcel, job))
    return module


def run(ear: Ear, scenario: Callable[[ProcessExecutor], Coroutine[Any, Any, None]]) -> None:
    """Run the scenario with one child at a time."""

    async def main() -> None:
        executor = ProcessExecutor(1, ear.ended, machine=MACHINE)
        try:
            await scenario(executor)
        finally:
            executor.close()

    asyncio.run(main())


@pytest.mark.usefixtures("parcels")
def test_a_child_whose_lane_ended_too_late_goes_on_with_others(ear: Ear, tmp_path: Path) -> None:
    async def scenario() -> None:
        overheard = Overheard()
        executor = ProcessExecutor(1, ear.ended, machine=MACHINE, open_line=overheard.open)
        executor.submit(ear.delivery("a", "stays"))
        executor.submit(ear.delivery("b", "signs", ear.shop.lane(1)))
        await asyncio.to_thread(
            wait_until, (tmp_path / "staying").exists, "it stays", limit_s=LIMIT_S
        )
        (tmp_path / "go").touch()
        # It ends, and the loop, which stands still here, does not hear of it.
        overheard.lines[0].overhear(RETURNS)
        executor.interrupt(ear.lane)
        assert await ear.outcome("a") == DONE
        assert await ear.outcome("b") == DONE
        executor.close()

    asyncio.run(scenario())


@pytest.mark.usefixtures("parcels")
def test_a_lane_that_ends_before_its_child_is_there_begins_nothing(
    ear: Ear, tmp_path: Path
) -> None:
    async def scenario(executor: ProcessExecutor) -> None:
        executor.submit(ear.delivery("a", "signs"))
        executor.interrupt(ear.lane)
        assert await ear.outcome("a") == Interrupted()
        assert executor.busy == 0

    run(ear, scenario)

    assert not (tmp_path / "signed").exists()


@pytest.mark.usefixtures("parcels")
def test_a_child_that_died_while_idle_counts_for_no_job(ear: Ear, tmp_path: Path) -> None:
    async def scenario(executor: ProcessExecutor) -> None:
        executor.submit(ear.delivery("a", "signs"))
        await ear.outcome("a")
        pid = int((tmp_path / "signed").read_text().split()[0])
        os.kill(pid, signal.SIGKILL)
        executor.submit(ear.delivery("b", "signs"))
        assert await ear.outcome("b") == DONE

    run(ear, scenario)


def test_a_process_that_can_not_be_started_counts_for_no_job(
    ear: Ear,
    parcels: Any,  # noqa: ANN401 - a module made here
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "executable", str(Path(parcels.__file__).parent / "nothing"))

    async def scenario(executor: ProcessExecutor) -> None:
        executor.submit(ear.delivery("a", "signs"))
        unstarted = await ear.outcome("a")
        assert isinstance(unstarted, Unstarted)
        assert "No such file" in unstarted.how

    run(ear, scenario)


@pytest.mark.usefixtures("parcels")
def test_an_answer_that_is_none_is_the_death_of_its_job_alone(ear: Ear) -> None:
    async def scenario(executor: ProcessExecutor) -> None:
        executor.submit(ear.delivery("a", "babbles"))
        executor.submit(ear.delivery("b", "signs"))
        assert isinstance(await ear.outcome("a"), Crashed)
        assert await ear.outcome("b") == DONE

    run(ear, scenario)
