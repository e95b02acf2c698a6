"""User code beside the handler, in the args' class and in what is raised: it ends as an outcome."""

from __future__ import annotations

import asyncio
import importlib
import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any

import pytest

from jobstream import Cancel, Dead, RetryAfter, Secret
from jobstream.kafka.client.broker_clock import MACHINE
from jobstream_processors.core.outcome import (
    DONE,
    Again,
    Cancelled,
    DeclaredDead,
    Outcome,
    Raised,
    TimedOut,
    Unreadable,
)
from jobstream_processors.execute.on_loop import LoopExecutor
from jobstream_processors.execute.on_processes import ProcessExecutor
from jobstream_processors.execute.on_threads import ThreadExecutor
from jobstream_processors.execute.running import NOT_TOLD
from jobstream_processors.job_types import ASYNC, PROCESS, THREAD
from jobstream_schemas import JobCodec

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.unit.execute.conftest import Ear

    from jobstream_processors.execute.running import Executes

HOUR_MS = 3_600_000


class Odd(BaseException):
    """Derives from no Exception."""


class Rude(ValueError):
    """Raises where it is told."""

    def __str__(self) -> str:
        raise RuntimeError


@dataclass(frozen=True)
class Touchy:
    """Args that refuse to be built, each in the way that its field names."""

    to: str

    def __post_init__(self) -> None:
        """Fail."""
        if (fault := FAULTS.get(self.to)) is not None:
            raise fault()


@dataclass(frozen=True)
class Reserved:
    """Args with a secret that tell it where they refuse it."""

    to: Annotated[str, Secret]

    def __post_init__(self) -> None:
        """Fail."""
        raise Dead(self.to)


FAULTS: dict[str, Callable[[], BaseException]] = {
    "dead": lambda: Dead("13 is not accepted any more"),
    "retry": lambda: RetryAfter("1s", "later"),
    "cancel": lambda: Cancel("not wanted"),
    "exit": lambda: SystemExit(3),
    "interrupt": KeyboardInterrupt,
    "generator": GeneratorExit,
    "cancelled": asyncio.CancelledError,
    "odd": lambda: Odd("what is this"),
    "value": lambda: ValueError("not an address"),
    "rude": Rude,
    "long": lambda: ValueError("x" * 10_000_000),
}
ENDS: dict[str, Outcome] = {
    "dead": DeclaredDead("dead_by_handler", "13 is not accepted any more"),
    "retry": Again(1_000, uses_attempt=True, reason="later"),
    "cancel": Cancelled("not wanted"),
}
REFUSED = {"value", "rude", "long"}


async def waits(_: object) -> None:
    await asyncio.sleep(0)


def works(_: object) -> None:
    """Do nothing."""


def run(ear: Ear, executor: str, *jobs: tuple[str, str]) -> None:
    """Run jobs (id, type) in that executor until each has ended."""

    async def main() -> None:
        made: Executes = ProcessExecutor(1, ear.ended, machine=MACHINE)
        if executor != PROCESS:
            kind = LoopExecutor if executor == ASYNC else ThreadExecutor
            made = kind(10, ear.ended, ear.returned, machine=MACHINE)
        try:
            for job_id, job in jobs:
                record = ear.shop.put(ear.shop.event(job_id, job, to=job_id))
                (delivery,) = ear.shop.deliver(ear.lane, record)
                made.submit(delivery)
            await ear.until(lambda: len(ear.outcomes) == len(jobs))
        finally:
            made.close()

    asyncio.run(main())


def declare(ear: Ear, job: str, executor: str, args: type, timeout_ms: int = HOUR_MS) -> None:
    """A job type with args of that class."""
    function = waits if executor == ASYNC else works
    ear.shop.handle(job, function, executor, timeout_ms=timeout_ms)
    ear.shop.specs[job] = replace(ear.shop.specs[job], codec=JobCodec(args, job))


@pytest.mark.parametrize("executor", [ASYNC, THREAD, PROCESS])
def test_whatever_args_raise_is_an_outcome_and_the_next_job_runs(ear: Ear, executor: str) -> None:
    declare(ear, "touchy", executor, Touchy)

    run(ear, executor, *((how, "touchy") for how in [*FAULTS, "fine"]))

    assert ear.outcomes.pop("fine") == DONE
    for how, outcome in ear.outcomes.items():
        if how in ENDS:
            assert outcome == ENDS[how]
        elif how in REFUSED:
            assert isinstance(outcome, Unreadable)
            assert "args: Touchy refuses these values" in outcome.message
            assert len(outcome.message) < 2_000
        else:
            assert isinstance(outcome, Raised), how
            assert outcome.error == _name_of(FAULTS[how]())


@pytest.mark.parametrize("executor", [ASYNC, THREAD, PROCESS])
def test_args_with_secrets_that_refuse_themselves_tell_none(ear: Ear, executor: str) -> None:
    declare(ear, "reserved", executor, Reserved)

    run(ear, executor, ("hunter2", "reserved"))

    assert ear.outcomes == {"hunter2": DeclaredDead("dead_by_handler", NOT_TOLD)}


SLOW_ARGS = """
from dataclasses import dataclass

@dataclass(frozen=True)
class Parcel:
    to: str

    def __post_init__(self):
        while self.to == "endless":
            pass

    def __reduce__(self):
        raise SystemExit("nobody asks for this")

def works(parcel):
    pass
"""


def test_args_that_are_never_built_are_under_the_limit_of_their_job(
    ear: Ear, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"slow_args_{os.getpid()}_{tmp_path.name}"
    (tmp_path / f"{name}.py").write_text(SLOW_ARGS)
    monkeypatch.syspath_prepend(str(tmp_path))
    module = importlib.import_module(name)
    # A busy machine may keep a child for a second from a job that takes none of it.
    for job, timeout_ms in (("slow", 1_000), ("patient", HOUR_MS)):
        ear.shop.handle(job, module.works, PROCESS, timeout_ms=timeout_ms)
        codec = JobCodec(module.Parcel, job)
        ear.shop.specs[job] = replace(ear.shop.specs[job], codec=codec)

    run(ear, PROCESS, ("endless", "slow"), ("quick", "patient"))

    assert ear.outcomes == {"endless": TimedOut(1_000), "quick": DONE}


class Awaitable:
    """No coroutine, and to be awaited all the same."""

    def __await__(self) -> Any:  # noqa: ANN401 - a generator
        yield from asyncio.sleep(0).__await__()


async def never_awaited() -> None:
    """Do nothing."""


class Impolite:
    """A value that raises when it is asked what it is."""

    def __getattribute__(self, name: str) -> object:
        """Raise where a type check looks."""
        if name == "__class__":
            raise KeyboardInterrupt
        return super().__getattribute__(name)


@pytest.mark.parametrize("executor", [ASYNC, THREAD])
@pytest.mark.parametrize("made", [Awaitable, never_awaited])
def test_what_is_returned_to_be_awaited_is_not_done(
    ear: Ear, executor: str, made: Callable[[], object]
) -> None:
    async def on_loop(_: object) -> object:
        return made()

    def in_thread(_: object) -> object:
        return made()

    ear.shop.handle("returns", on_loop if executor == ASYNC else in_thread, executor)

    run(ear, executor, ("a", "returns"))

    outcome = ear.outcomes["a"]
    assert isinstance(outcome, Raised)
    assert outcome.error == "jobstream.NotAwaited"


def test_a_child_awaits_whatever_can_be_awaited(ear: Ear) -> None:
    ear.shop.handle("awaits", returns_awaitable, PROCESS)

    run(ear, PROCESS, ("a", "awaits"))

    assert ear.outcomes == {"a": DONE}


def returns_awaitable(_: object) -> object:
    return Awaitable()


@pytest.mark.parametrize("executor", [ASYNC, THREAD])
def test_a_value_that_can_not_be_looked_at_is_a_failed_attempt(ear: Ear, executor: str) -> None:
    async def on_loop(_: object) -> object:
        return Impolite()

    def in_thread(_: object) -> object:
        return Impolite()

    ear.shop.handle("returns", on_loop if executor == ASYNC else in_thread, executor)

    run(ear, executor, ("a", "returns"))

    assert isinstance(ear.outcomes["a"], Raised)


def _name_of(error: BaseException) -> str:
    return f"{type(error).__module__}.{type(error).__qualname__}"
