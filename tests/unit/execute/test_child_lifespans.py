"""Lifespans in child processes: entered before the first job there, left when it is let go."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

import pytest
from tests.harness.waiting import wait_until

from jobstream.cli.app_name import AppName
from jobstream.cli.loading import load_app
from jobstream.kafka.client.broker_clock import MACHINE
from jobstream_processors.core.outcome import DONE, Cancelled, Raised, Unstarted
from jobstream_processors.execute import child_lifespans, on_processes, one_child
from jobstream_processors.execute.on_processes import ProcessExecutor

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.unit.execute.conftest import Ear

    from jobstream import App

LIMIT_S = 60.0
IMPORTS_S = 10
MODULE = """
import asyncio, os
from dataclasses import dataclass
from pathlib import Path
from jobstream import App, Cancel, Context, Middleware

BOOK = Path(__file__).parent / "book"
app = App("parcels")

def says(text: str) -> None:
    with BOOK.open("a") as book:
        book.write(f"{os.getpid()} {text}\\n")

@dataclass(frozen=True)
class Parcel:
    to: str

class Pool:
    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()

@app.lifespan
async def pool():
    says("begins")
    yield Pool()
    says("ends")

@app.job
async def waits(parcel: Parcel, ctx: Context) -> None:
    assert ctx.resources[Pool].loop is asyncio.get_running_loop()
    leaked.append(asyncio.create_task(asyncio.sleep(3600)))
    await asyncio.sleep(0)
    says(f"waits {[task.cancelled() for task in leaked]}")

leaked = []

@app.job
def plain(parcel: Parcel, ctx: Context) -> None:
    says(f"plain {type(ctx.resources[Pool]).__name__}")

@app.job
def forks(parcel: Parcel) -> None:
    pid = os.fork()
    if not pid:
        return
    os.waitpid(pid, 0)
    says("forked")

class Bound(Middleware):
    def run(self, args, ctx):
        says(f"around {args.to} of {ctx.headers.get('tenant')}")
        try:
            yield
        except LookupError as error:
            raise Cancel(str(error)) from error

@app.job
def dies(parcel: Parcel) -> None:
    os._exit(3)

@app.job
def fails(parcel: Parcel) -> None:
    raise LookupError("no parcel")
"""
FAILING = """
@app.lifespan
def broken():
    raise OSError("no database")
    yield
"""


BUSY = """
import threading

@app.lifespan
async def outlives():
    yield
    if (BOOK.parent / "busy").exists() and (BOOK.parent / "busy").read_text() != str(os.getpid()):
        while Path("/proc", (BOOK.parent / "busy").read_text()).exists():
            await asyncio.sleep(0.01)  # work
        says("the other is gone")

@app.job
def stays(parcel: Parcel) -> None:
    (BOOK.parent / "busy").write_text(str(os.getpid()))
    threading.Event().wait()
"""
BREAKS = """
from contextlib import asynccontextmanager

fails, gone = asyncio.Event(), asyncio.Event()

@app.lifespan
@asynccontextmanager
async def listener():
    try:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(listens())
            yield
    finally:
        gone.set()

async def listens():
    await fails.wait()
    raise OSError("the listener died")

@app.job
async def breaks(parcel: Parcel) -> None:
    fails.set()
    await gone.wait()
    says("breaks")
"""
HANGS = """
import jobstream_processors.execute.child_lifespans as there

there.START_S_MAX = 0.1

@app.lifespan
async def hangs():
    await asyncio.Event().wait()
    yield
"""
SLOW_TO_START = """
import threading

@app.lifespan
def slow():
    (BOOK.parent / "starting").touch()
    threading.Event().wait()
    yield
"""


@pytest.fixture(autouse=True)
def _time_to_leave(monkeypatch: pytest.MonkeyPatch) -> None:
    """A child of a busy machine says late that it has ended what it shared."""
    monkeypatch.setattr(on_processes, "LEFT_S_MAX", LIMIT_S)


@pytest.fixture
def app_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], App]:
    """Makes the app in a module of that text, as a command finds it."""

    def app(text: str) -> App:
        name = f"shared_{os.getpid()}_{tmp_path.name}"
        monkeypatch.syspath_prepend(str(tmp_path))
        (tmp_path / f"{name}.py").write_text(text)
        return load_app(AppName(f"{name}:app"))

    return app


def run_each(ear: Ear, app: App, *jobs: str) -> None:
    """Run these jobs in one child after the other, and let the last child go."""

    async def main() -> None:
        executor = ProcessExecutor(1, ear.ended, machine=MACHINE, leave_s=lambda: 60.0)
        try:
            for number, job in enumerate(jobs):
                ear.shop.handle(job)
                ear.shop.specs[job] = app.specs()[job]
                executor.submit(ear.delivery(f"{job}-{number}", job))
                await ear.outcome(f"{job}-{number}")
        finally:
            executor.close()

    asyncio.run(main())


def submit(executor: ProcessExecutor, ear: Ear, app: App, job: str) -> None:
    """Submit a job of that type, by that id."""
    ear.shop.handle(job)
    ear.shop.specs[job] = app.specs()[job]
    executor.submit(ear.delivery(job, job))


def until_exists(path: Path) -> None:
    """Block until it does."""
    wait_until(path.exists, f"{path.name} is there", limit_s=LIMIT_S)


def said(folder: Path) -> list[list[str]]:
    """What the processes said, by process, in the order in which they began."""
    by_process: dict[str, list[str]] = {}
    for line in (folder / "book").read_text().splitlines():
        pid, _, text = line.partition(" ")
        by_process.setdefault(pid, []).append(text)
    assert str(os.getpid()) not in by_process
    return list(by_process.values())


def test_a_child_enters_them_once_and_leaves_them_when_it_is_let_go(
    ear: Ear, tmp_path: Path, app_of: Callable[[str], App]
) -> None:
    run_each(ear, app_of(MODULE), "waits", "plain", "fails", "waits")

    assert said(tmp_path) == [
        ["begins", "waits [False]", "plain Pool", "waits [True, False]", "ends"]
    ]
    assert isinstance(ear.outcomes["fails-2"], Raised)


def test_a_child_that_dies_leaves_nothing_and_the_next_has_its_own(
    ear: Ear, tmp_path: Path, app_of: Callable[[str], App]
) -> None:
    run_each(ear, app_of(MODULE), "plain", "dies", "plain")

    assert said(tmp_path) == [["begins", "plain Pool"], ["begins", "plain Pool", "ends"]]


def test_a_process_that_a_handler_forks_neither_enters_nor_leaves_them(
    ear: Ear, tmp_path: Path, app_of: Callable[[str], App]
) -> None:
    run_each(ear, app_of(MODULE), "forks")

    assert said(tmp_path) == [["begins", "forked", "ends"]]


def test_children_that_run_a_job_end_before_those_that_leave(
    ear: Ear, tmp_path: Path, app_of: Callable[[str], App]
) -> None:
    app = app_of(MODULE + BUSY)

    async def main() -> None:
        executor = ProcessExecutor(2, ear.ended, machine=MACHINE, leave_s=lambda: LIMIT_S)
        try:
            submit(executor, ear, app, "stays")
            submit(executor, ear, app, "plain")
            await ear.outcome("plain")
            await asyncio.to_thread(until_exists, tmp_path / "busy")
        finally:
            executor.close()

    asyncio.run(main())

    assert ["begins", "plain Pool", "the other is gone", "ends"] in said(tmp_path)


def test_a_child_that_gets_ready_is_not_waited_for(
    ear: Ear, tmp_path: Path, app_of: Callable[[str], App]
) -> None:
    app = app_of(MODULE + SLOW_TO_START)

    async def main() -> None:
        executor = ProcessExecutor(1, ear.ended, machine=MACHINE, leave_s=lambda: LIMIT_S)
        try:
            submit(executor, ear, app, "plain")
            await asyncio.to_thread(until_exists, tmp_path / "starting")
        finally:
            began_s = MACHINE.awake_s()
            executor.close()
        assert MACHINE.awake_s() - began_s < LIMIT_S / 2

    asyncio.run(main())

    assert said(tmp_path) == [["begins"]]


def test_a_start_that_fails_there_begins_no_job_and_says_why(
    ear: Ear, app_of: Callable[[str], App]
) -> None:
    run_each(ear, app_of(MODULE + FAILING), "plain")

    outcome = ear.outcomes["plain-0"]
    assert isinstance(outcome, Unstarted)
    assert outcome.reason == "lifespan_failed"
    assert "lifespan 'broken' failed: OSError: no database" in outcome.how


def test_a_start_that_hangs_there_is_given_up_before_the_worker_gives_up_the_child(
    ear: Ear, app_of: Callable[[str], App]
) -> None:
    run_each(ear, app_of(MODULE + HANGS), "plain")

    outcome = ear.outcomes["plain-0"]
    assert isinstance(outcome, Unstarted)
    assert outcome.reason == "lifespan_failed"
    assert "lifespan 'hangs' did not start within 0.1 s" in outcome.how
    assert child_lifespans.START_S_MAX + IMPORTS_S < one_child.START_S_MAX


def test_a_child_whose_lifespans_end_too_early_leaves_and_the_next_job_has_another(
    ear: Ear,
    tmp_path: Path,
    app_of: Callable[[str], App],
    caplog: pytest.LogCaptureFixture,
) -> None:
    run_each(ear, app_of(MODULE + BREAKS), "breaks", "plain", "waits")

    assert said(tmp_path) == [
        ["begins", "breaks"],
        ["begins", "plain Pool", "waits [False]", "ends"],
    ]
    assert set(ear.outcomes.values()) == {DONE}
    (told,) = [each for each in caplog.records if each.message == "lifespan_ended_in_child"]
    assert "a lifespan ended while jobs ran" in vars(told)["reason"]


def test_middleware_is_around_handlers_there_and_has_the_headers(
    ear: Ear, tmp_path: Path, app_of: Callable[[str], App]
) -> None:
    app = app_of(MODULE + "\napp.middleware(Bound)\n")

    async def main() -> None:
        executor = ProcessExecutor(1, ear.ended, machine=MACHINE)
        try:
            for job in ("waits", "fails"):
                ear.shop.handle(job)
                ear.shop.specs[job] = app.specs()[job]
                delivery = ear.delivery(job, job)
                delivery.headers = [("tenant", b"acme"), ("js-seq", b"1")]
                executor.submit(delivery)
                await ear.outcome(job)
        finally:
            executor.close()

    asyncio.run(main())

    assert ear.outcomes == {"waits": DONE, "fails": Cancelled("no parcel")}
    ((begins, *rest),) = said(tmp_path)
    assert begins == "begins"
    assert rest == ["around ann of acme", "waits [False]", "around ann of acme"]


def test_without_lifespans_nothing_is_shared(ear: Ear, app_of: Callable[[str], App]) -> None:
    text = MODULE.replace("@app.lifespan", "").replace("assert ctx", "# ")
    run_each(ear, app_of(text), "waits")

    assert ear.outcomes["waits-0"] == DONE
