"""How a child process finds a handler: by its app, or else under its own name."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

import pytest

from jobstream.cli.app_name import AppName
from jobstream.cli.loading import load_app
from jobstream.kafka.client.broker_clock import MACHINE
from jobstream_processors.core.outcome import DONE, Unstarted
from jobstream_processors.execute.on_processes import ProcessExecutor

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.unit.execute.conftest import Ear

    from jobstream import App

ARGS = """
from dataclasses import dataclass
from pathlib import Path
from jobstream import App, Context

PLACE = Path(__file__).parent

@dataclass(frozen=True)
class Parcel:
    to: str
"""


FACTORY = """
def made():
    app = App("parcels")
    for job in ("one", "two"):
        @app.job(name=job)
        def handle(parcel: Parcel, ctx: Context, job: str = job) -> None:
            (PLACE / "signed").open("a").write(job + " ")
    return app

app = made()
"""
TWICE = """
app = App("parcels")

@app.job(name="one")
def handle(parcel: Parcel) -> None: ...

@app.job(name="two")
def handle(parcel: Parcel) -> None: ...
"""


@pytest.fixture
def app_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], App]:
    """Makes the app in a module of that text, as a command finds it."""

    def app(text: str) -> App:
        name = f"factory_{os.getpid()}_{tmp_path.name}"
        monkeypatch.syspath_prepend(str(tmp_path))
        (tmp_path / f"{name}.py").write_text(ARGS + text)
        return load_app(AppName(f"{name}:app"))

    return app


def run_each(ear: Ear, app: App) -> None:
    """Run a job of each type in a child, one after the other."""

    async def main() -> None:
        executor = ProcessExecutor(1, ear.ended, machine=MACHINE)
        try:
            for job, spec in app.specs().items():
                ear.shop.handle(job)
                ear.shop.specs[job] = spec
                executor.submit(ear.delivery(job, job))
                await ear.outcome(job)
        finally:
            executor.close()

    asyncio.run(main())


def test_handlers_made_in_a_function_are_found_by_their_app(
    ear: Ear, tmp_path: Path, app_of: Callable[[str], App]
) -> None:
    app = app_of(FACTORY)
    assert all(spec.importable for spec in app.specs().values())

    run_each(ear, app)

    assert ear.outcomes == {"one": DONE, "two": DONE}
    assert (tmp_path / "signed").read_text() == "one two "


def test_a_handler_whose_name_another_has_taken_is_not_mistaken_for_it(
    ear: Ear, app_of: Callable[[str], App]
) -> None:
    app = app_of(TWICE)
    app.found_at = None

    run_each(ear, app)

    one = ear.outcomes["one"]
    assert isinstance(one, Unstarted)
    assert one.reason == "handler_not_importable"
    assert ear.outcomes["two"] == DONE


LOCAL_ARGS = """
def made():
    @dataclass(frozen=True)
    class Local:
        to: str

    app = App("parcels")

    @app.job
    def handle(args: Local) -> None: ...

    return app

app = made()
"""


def test_args_of_a_class_without_a_name_are_found_with_the_app_or_keep_their_job_in_the_worker(
    ear: Ear, app_of: Callable[[str], App]
) -> None:
    app = app_of(LOCAL_ARGS)
    (spec,) = app.specs().values()
    assert spec.importable

    run_each(ear, app)
    assert ear.outcomes == {"handle": DONE}

    app.found_at = None
    (alone,) = app.specs().values()
    assert not alone.importable
