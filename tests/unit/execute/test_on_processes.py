"""Handlers in child processes: real ones, that are killed, crash, or can't even begin."""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import threading
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.harness.waiting import wait_until
from tests.unit.execute.conftest import Overheard

from jobstream.cli.log_output import configure_process
from jobstream.kafka.client.broker_clock import MACHINE
from jobstream_processors.core.outcome import (
    DONE,
    STOPPED,
    Crashed,
    DeclaredDead,
    Expired,
    Interrupted,
    Raised,
    TimedOut,
    Unstarted,
)
from jobstream_processors.core.retry import Backoff
from jobstream_processors.execute.bars import Bars
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
import asyncio, logging, os, signal, sys, threading
from dataclasses import dataclass
from pathlib import Path

PLACE = Path(__file__).parent

@dataclass(frozen=True)
class Parcel:
    to: str

def signs(parcel, context):
    with (PLACE / "signed").open("a") as book:
        book.write(f"{context.job_id} {parcel.to} {os.getpid()} {os.getppid()}\\n")

async def tells(parcel):
    async def tell():
        logging.getLogger("shop").info("sent")
    await asyncio.create_task(tell())

async def waits(parcel):
    await asyncio.sleep(0)

def raises(parcel):
    raise ValueError("no such address")

def exits(parcel):
    sys.exit(3)

def dies(parcel):
    os.kill(os.getpid(), signal.SIGKILL)

def quits(parcel):
    os._exit(7)

def hangs(parcel):
    (PLACE / "hanging").touch()
    threading.Event().wait()

def stays(parcel):
    (PLACE / "staying").touch()
    while not (PLACE / "go").exists():
        threading.Event().wait(0.01)
"""

SLOW_IN_A_CHILD = """
if os.getpid() != {parent}:
    (PLACE / "importing").touch()
    while not (PLACE / "go").exists():
        threading.Event().wait(0.01)
"""


@pytest.fixture
def parcels(ear: Ear, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:  # noqa: ANN401 - a module made here
    """A module that children can import, each of its handlers declared as a job type."""
    name = f"parcels_{os.getpid()}_{tmp_path.name}"
    (tmp_path / f"{name}.py").write_text(HANDLERS)
    monkeypatch.syspath_prepend(str(tmp_path))
    module = importlib.import_module(name)
    for job in ("signs", "tells", "waits", "raises", "exits", "dies", "quits", "hangs", "stays"):
        declare(ear, module, job)
    return module


def declare(ear: Ear, module: Any, job: str, timeout_ms: int = HOUR_MS) -> None:  # noqa: ANN401 - a module made here
    codec = JobCodec(module.Parcel, job)
    spec = ear.shop.handle(
        job, getattr(module, job), PROCESS, Backoff(attempts=1), timeout_ms=timeout_ms
    )
    ear.shop.specs[job] = type(spec)(
        job, "mail", codec, spec.policy, timeout_ms, spec.function, PROCESS, job == "signs"
    )


def run(
    ear: Ear,
    scenario: Callable[[ProcessExecutor], Coroutine[Any, Any, None]],
    size: int = 1,
    begin: Callable[[], None] | None = None,
) -> None:
    """Run the scenario with children of its own."""

    async def main() -> None:
        executor = ProcessExecutor(size, ear.ended, begin=begin, machine=MACHINE)
        try:
            await scenario(executor)
        finally:
            executor.close()

    asyncio.run(main())


@pytest.mark.usefixtures("parcels")
def test_one_warm_child_serves_job_after_job_and_reports_each_end(ear: Ear, tmp_path: Path) -> None:
    async def scenario(executor: ProcessExecutor) -> None:
        for job_id, job in (("a", "signs"), ("b", "raises"), ("c", "exits"), ("d", "waits")):
            executor.submit(ear.delivery(job_id, job))
        executor.submit(ear.delivery("e", "signs"))
        await ear.until(lambda: len(ear.outcomes) == 5)
        assert executor.busy == 0

    run(ear, scenario)

    assert ear.outcomes["a"] == ear.outcomes["d"] == ear.outcomes["e"] == DONE
    raised, exited = ear.outcomes["b"], ear.outcomes["c"]
    assert isinstance(raised, Raised)
    assert (raised.error, raised.message) == ("builtins.ValueError", "no such address")
    assert raised.spot.frame.endswith(" in raises")
    assert raised.spot.traceback.endswith("ValueError: no such address\n")
    assert isinstance(exited, Raised)
    first, second = [line.split() for line in (tmp_path / "signed").read_text().splitlines()]
    assert first[:2] == ["a", "ann"]
    assert first[2] == second[2] != str(os.getpid())
    assert first[3] == str(os.getpid())


@pytest.mark.usefixtures("parcels")
def test_a_child_logs_as_its_parent_does_and_names_the_job(
    ear: Ear, capfd: pytest.CaptureFixture[str]
) -> None:
    async def scenario(executor: ProcessExecutor) -> None:
        for job_id in ("a", "b"):
            executor.submit(ear.delivery(job_id, "tells"))
        await ear.until(lambda: len(ear.outcomes) == 2)

    run(ear, scenario, begin=partial(configure_process, "json", "info"))

    lines = [json.loads(line) for line in capfd.readouterr().err.splitlines()]
    assert [(line["event"], line["job_id"], line["job"]) for line in lines] == [
        ("sent", "a", "tells"),
        ("sent", "b", "tells"),
    ]
    assert {line["pid"] for line in lines} != {os.getpid()}


@pytest.mark.usefixtures("parcels")
@pytest.mark.parametrize(("job", "how"), [("dies", "killed by signal 9"), ("quits", "exit code 7")])
def test_the_death_of_a_child_counts_for_its_job_alone(ear: Ear, job: str, how: str) -> None:
    async def scenario(executor: ProcessExecutor) -> None:
        executor.submit(ear.delivery("bad", job))
        executor.submit(ear.delivery("good", "waits"))
        await ear.until(lambda: len(ear.outcomes) == 2)

    run(ear, scenario)

    assert ear.outcomes == {"bad": Crashed(f"its process died: {how}"), "good": DONE}


def test_a_worker_that_freezes_while_its_child_imports_starts_nothing(
    ear: Ear,
    parcels: Any,  # noqa: ANN401 - a module made here
    tmp_path: Path,
) -> None:
    # Given a child that is still importing the handler when its worker finds out that it was frozen
    source = Path(parcels.__file__)
    source.write_text(HANDLERS + SLOW_IN_A_CHILD.format(parent=os.getpid()))
    frozen = threading.Event()

    async def scenario(executor: ProcessExecutor) -> None:
        executor.barred = Bars(ear.shop.clock, frozen.is_set)
        executor.submit(ear.delivery("a", "signs"))
        importing = (tmp_path / "importing").exists
        await asyncio.to_thread(wait_until, importing, "it imports", limit_s=LIMIT_S)
        frozen.set()
        (tmp_path / "go").touch()
        await ear.until(lambda: "a" in ear.outcomes)

    run(ear, scenario)

    # Then the job is left to who owns it now
    assert ear.outcomes == {"a": Interrupted()}
    assert not (tmp_path / "signed").exists()


def test_a_job_past_its_limit_is_killed(ear: Ear, parcels: Any) -> None:  # noqa: ANN401 - a module made here
    declare(ear, parcels, "hangs", timeout_ms=2_000)

    async def scenario(executor: ProcessExecutor) -> None:
        executor.submit(ear.delivery("a", "hangs"))
        executor.submit(ear.delivery("b", "waits"))
        await ear.until(lambda: len(ear.outcomes) == 2)

    run(ear, scenario)

    # Its time has begun by what the child said, however far its handler came by then.
    assert ear.outcomes == {"a": TimedOut(2_000), "b": DONE}


@pytest.mark.usefixtures("parcels")
def test_a_lane_that_ends_kills_its_children_and_counts_no_crash(ear: Ear, tmp_path: Path) -> None:
    async def scenario(executor: ProcessExecutor) -> None:
        executor.submit(ear.delivery("a", "waits"))
        await ear.outcome("a")
        executor.submit(ear.delivery("b", "hangs"))
        executor.submit(ear.delivery("c", "hangs"))
        await asyncio.to_thread(
            wait_until, (tmp_path / "hanging").exists, "it hangs", limit_s=LIMIT_S
        )
        assert [d.id for d in executor.withdraw(ear.lane)] == ["c"]

        executor.interrupt(ear.lane)
        assert await ear.outcome("b") == Interrupted()
        assert executor.busy == 0

    run(ear, scenario)


def run_from(ear: Ear, module: Path, source: str) -> Unstarted:
    """How a job ends whose handler's module has become `source`, which no child can import."""
    module.write_text(source)
    importlib.invalidate_caches()

    async def scenario(executor: ProcessExecutor) -> None:
        executor.submit(ear.delivery("a", "waits"))
        await ear.outcome("a")

    run(ear, scenario)
    unstarted = ear.outcomes["a"]
    assert isinstance(unstarted, Unstarted)
    return unstarted


def test_a_handler_that_no_child_can_import_is_not_begun(
    ear: Ear,
    parcels: Any,  # noqa: ANN401 - a module made here
    tmp_path: Path,
) -> None:
    unstarted = run_from(
        ear, tmp_path / f"{parcels.__name__}.py", "raise RuntimeError('half deployed')\n"
    )

    assert unstarted.reason == "handler_not_importable"
    assert unstarted.how.endswith(f"import {parcels.__name__}:waits: RuntimeError: half deployed")
    assert unstarted.spot.frame == f"{parcels.__name__}.py:1 in <module>"
    first, *_, last = unstarted.spot.traceback.splitlines()
    assert (first, last) == ("Traceback (most recent call last):", "RuntimeError: half deployed")
    assert "importlib" not in unstarted.spot.traceback


def test_a_module_that_is_no_python_is_told_by_its_line(
    ear: Ear,
    parcels: Any,  # noqa: ANN401 - a module made here
    tmp_path: Path,
) -> None:
    unstarted = run_from(ear, tmp_path / f"{parcels.__name__}.py", "\ndef waits(:\n")

    assert unstarted.spot.frame == f"{parcels.__name__}.py:2"
    assert "    def waits(:\n" in unstarted.spot.traceback


@pytest.mark.usefixtures("parcels")
def test_no_more_children_than_asked_for(ear: Ear, tmp_path: Path) -> None:
    async def scenario(executor: ProcessExecutor) -> None:
        for number in range(6):
            executor.submit(ear.delivery(f"{number}", "signs"))
        await ear.until(lambda: len(ear.outcomes) == 6)

    run(ear, scenario, size=2)

    signed = (tmp_path / "signed").read_text().splitlines()
    assert len(signed) == 6
    assert len({line.split()[2] for line in signed}) <= 2


def test_args_that_can_not_be_read_bury_the_job_and_keep_the_child(
    ear: Ear,
    parcels: Any,  # noqa: ANN401 - a module made here
) -> None:
    assert parcels.Parcel("ann").to == "ann"

    async def scenario(executor: ProcessExecutor) -> None:
        bad = ear.delivery("bad", "waits")
        bad.value = bad.value[:-1]
        executor.submit(bad)
        executor.submit(ear.delivery("good", "waits"))
        await ear.until(lambda: len(ear.outcomes) == 2)

    run(ear, scenario)

    dead = ear.outcomes["bad"]
    assert isinstance(dead, DeclaredDead)
    assert dead.reason == "undecodable"
    assert ear.outcomes["good"] == DONE


@pytest.mark.usefixtures("parcels")
def test_a_cancelled_job_is_killed_and_the_next_gets_another_child(
    ear: Ear, tmp_path: Path
) -> None:
    async def scenario(executor: ProcessExecutor) -> None:
        hanging, waiting = ear.delivery("a", "hangs"), ear.delivery("b", "hangs")
        for delivery in (hanging, waiting, ear.delivery("c", "signs")):
            executor.submit(delivery)
        executor.stop(waiting)
        assert ear.outcomes == {"b": STOPPED}
        hangs = (tmp_path / "hanging").exists
        await asyncio.to_thread(partial(wait_until, hangs, "it hangs", limit_s=LIMIT_S))
        executor.stop(hanging)
        assert await ear.outcome("a") == STOPPED
        assert await ear.outcome("c") == DONE
        assert executor.busy == 0

    run(ear, scenario)


@pytest.mark.usefixtures("parcels")
def test_a_kill_that_comes_too_late_hits_no_other_job(ear: Ear, tmp_path: Path) -> None:
    async def scenario() -> None:
        overheard = Overheard()
        executor = ProcessExecutor(1, ear.ended, machine=MACHINE, open_line=overheard.open)
        late = ear.delivery("a", "stays")
        executor.submit(late)
        executor.submit(ear.delivery("b", "signs"))
        await asyncio.to_thread(
            wait_until, (tmp_path / "staying").exists, "it stays", limit_s=LIMIT_S
        )
        (tmp_path / "go").touch()
        # It ends, and the loop, which stands still here, does not hear of it.
        overheard.lines[0].overhear(RETURNS)
        executor.stop(late)
        assert await ear.outcome("a") == DONE
        assert await ear.outcome("b") == DONE
        assert len(overheard.lines) == 1
        executor.close()

    asyncio.run(scenario())


@pytest.mark.usefixtures("parcels")
def test_a_job_whose_time_is_over_is_not_begun(ear: Ear, tmp_path: Path) -> None:
    async def scenario(executor: ProcessExecutor) -> None:
        executor.barred = Bars(ear.shop.clock, lambda: False)
        late, timely = ear.delivery("a", "signs"), ear.delivery("b", "signs")
        late.expires_ms = ear.shop.clock.broker_ms()
        timely.expires_ms = late.expires_ms + 1
        executor.submit(late)
        executor.submit(timely)
        await ear.until(lambda: len(ear.outcomes) == 2)

    run(ear, scenario)

    assert ear.outcomes == {"a": Expired(), "b": DONE}
    assert (tmp_path / "signed").read_text().startswith("b ")
