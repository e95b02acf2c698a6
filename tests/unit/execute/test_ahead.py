"""Jobs that are handed to real children ahead: what dies, what waits, what is taken back."""

from __future__ import annotations

import asyncio
import importlib
import os
import random
import signal
from collections import Counter
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from tests.harness.waiting import wait_until

from jobstream.kafka.client.broker_clock import MACHINE
from jobstream_processors.core.outcome import DONE, STOPPED, Crashed, Interrupted
from jobstream_processors.execute.on_processes import ProcessExecutor
from jobstream_processors.execute.outbox import Outbox
from jobstream_processors.execute.running import no_entry
from jobstream_processors.job_types import PROCESS
from jobstream_schemas import JobCodec

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from pathlib import Path

    from tests.unit.execute.conftest import Ear

    from jobstream_processors.delivery import Delivery

HOUR_MS = 3_600_000
LIMIT_S = 120.0
JOBS = 600
KILLS = 12
HANDLERS = """
import os, threading, time
from dataclasses import dataclass
from pathlib import Path

PLACE = Path(__file__).parent
BOOK = os.open(PLACE / "signed", os.O_WRONLY | os.O_CREAT | os.O_APPEND)

@dataclass(frozen=True)
class Parcel:
    to: str

def signs(parcel, context):
    os.write(BOOK, f"{os.getpid()} {context.job_id}\\n".encode())
    if context.job_id.startswith("long"):
        while not (PLACE / "go").exists():
            threading.Event().wait(0.01)
    elif context.job_id.startswith("pause"):
        time.sleep(0.002)
"""


class Signed:
    """What children wrote, each job as it began."""

    def __init__(self, place: Path) -> None:
        self._place = place

    def lines(self) -> list[list[str]]:
        book = self._place / "signed"
        return [line.split() for line in book.read_text().splitlines()] if book.exists() else []

    def ids(self) -> list[str]:
        return [job_id for _, job_id in self.lines()]

    async def by(self, job_id: str) -> int:
        """Wait until it has begun; returns the process."""

        def has_begun() -> bool:
            return job_id in self.ids()

        await asyncio.to_thread(wait_until, has_begun, f"{job_id} begins", limit_s=LIMIT_S)
        return int(next(pid for pid, each in self.lines() if each == job_id))


@pytest.fixture
def signed(ear: Ear, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Signed:
    name = f"ahead_{os.getpid()}_{tmp_path.name}"
    (tmp_path / f"{name}.py").write_text(HANDLERS)
    monkeypatch.syspath_prepend(str(tmp_path))
    module: Any = importlib.import_module(name)
    spec = ear.shop.handle("signs", module.signs, PROCESS, timeout_ms=HOUR_MS)
    ear.shop.specs["signs"] = replace(spec, codec=JobCodec(module.Parcel, "signs"))
    return Signed(tmp_path)


def run(
    ear: Ear, size: int, scenario: Callable[[ProcessExecutor], Coroutine[Any, Any, None]]
) -> None:
    """Run the scenario with warm children, which are known to be quick with these jobs."""

    async def main() -> None:
        executor = ProcessExecutor(size, ear.ended, machine=MACHINE)
        try:
            for number in range(size):
                executor.submit(ear.delivery(f"pause-{number}", "signs"))
            await ear.until(lambda: len(ear.outcomes) == size)
            await scenario(executor)
        finally:
            executor.close()

    asyncio.run(main())


class Nowhere:
    """A line to a child that does nothing."""

    def send(self, frames: bytes, tokens: bytes) -> None:
        """It has nobody to read it."""

    def take_back(self) -> bytes:
        return b""

    def hear(self) -> bytes | None:
        return None

    def kill(self) -> None:
        """It is not there."""

    let_go = close = kill

    def ended(self, limit_s: float) -> None:
        """It has never begun."""


class Frozen:
    """The worker and its child stop as a job is handed over, and wake a minute later.

    To the child the hand-over looks a minute old; when the worker looks again, it has lost the job.
    """

    def __init__(self, looks: int) -> None:
        self._looks = looks
        """So often it was asked before the hand-over."""

    awake_s, wall_ms = staticmethod(MACHINE.awake_s), staticmethod(MACHINE.wall_ms)

    def monotonic_ms(self) -> int:
        return MACHINE.monotonic_ms() - 60_000

    def is_lost(self) -> bool:
        return self._looks <= 0

    def __call__(self, _: Delivery) -> Interrupted | None:
        self._looks -= 1
        return None if self._looks >= 0 else Interrupted()


def handed(ear: Ear, executor: ProcessExecutor, *ids: str) -> dict[str, Delivery]:
    made = {job_id: ear.delivery(job_id, "signs") for job_id in ids}
    for delivery in made.values():
        executor.submit(delivery)
    return made


def test_children_that_are_killed_at_any_time_lose_nothing_and_charge_what_had_begun(
    ear: Ear, signed: Signed
) -> None:
    rng = random.Random(JOBS)

    async def scenario(executor: ProcessExecutor) -> None:
        ids = [f"pause-a{n}" if rng.random() < 0.1 else f"a{n}" for n in range(JOBS)]
        handed(ear, executor, *ids)
        for kill in range(1, KILLS + 1):
            reached = kill * JOBS // (KILLS + 2)
            await ear.until(lambda reached=reached: len(ear.outcomes) >= reached)  # type: ignore[misc]
            pid, _ = rng.choice(signed.lines()[-3:])
            with suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
        await ear.until(lambda: len(ear.outcomes) == JOBS + 2)

    run(ear, 2, scenario)

    times = Counter(signed.ids())
    ends = Counter(type(outcome) for outcome in ear.outcomes.values())
    assert max(times.values()) == 1
    assert set(ear.outcomes.values()) - {Crashed("its process died: killed by signal 9")} == {DONE}
    assert ends[Crashed] <= KILLS
    assert all(times[job_id] for job_id, outcome in ear.outcomes.items() if outcome == DONE)


def test_what_was_taken_back_takes_up_no_room_in_a_stream_that_was_read_on(
    ear: Ear, signed: Signed
) -> None:
    """Else nothing would be handed ahead to a child from 64 KiB on that were taken back."""
    assert not signed.ids()
    out = Outbox(Nowhere(), no_entry)
    delivery = ear.delivery("taken", "signs")
    out.prepare(delivery)
    out.is_ready()

    sent = [out.hand(delivery, 0.001, 1.0, 1) for _ in range(10)]
    one = out.unread_bytes // 10
    out.has_read(sent[0])
    assert (out.unread, out.unread_bytes) == (9, 9 * one)
    next_one = out.hand(delivery, 0.001, 1.0, 1)  # The nine were taken back before.
    out.has_read(next_one)

    assert (out.unread, out.unread_bytes) == (0, 0)


def test_nothing_waits_behind_a_job_that_turns_out_to_be_long(
    ear: Ear, signed: Signed, tmp_path: Path
) -> None:
    async def scenario(executor: ProcessExecutor) -> None:
        short = [f"b{n}" for n in range(100)]
        handed(ear, executor, "long", *short)
        await ear.until(lambda: ear.outcomes.keys() >= set(short))
        assert "long" not in ear.outcomes
        (tmp_path / "go").touch()
        assert await ear.outcome("long") == DONE

    run(ear, 2, scenario)

    assert len(signed.ids()) == len(set(signed.ids())) == 103


def test_what_is_ahead_in_a_child_ends_without_a_start_or_is_withdrawn_in_order(
    ear: Ear, signed: Signed, tmp_path: Path
) -> None:
    other = ear.shop.lane(1)

    async def scenario(executor: ProcessExecutor) -> None:
        made = handed(ear, executor, "long", "stopped", "c", "d")
        executor.submit(ear.delivery("cut", "signs", other))
        pid = await signed.by("long")
        executor.stop(made["stopped"])
        executor.interrupt(other)
        assert ear.outcomes["stopped"] == STOPPED
        assert ear.outcomes["cut"] == Interrupted()
        assert [d.id for d in executor.withdraw(ear.lane)] == ["c", "d"]
        assert executor.busy == 1
        for delivery in (made["c"], made["d"]):
            executor.submit(delivery)
        (tmp_path / "go").touch()
        await ear.until(lambda: ear.outcomes.keys() >= {"long", "c", "d"})
        assert await signed.by("d") == pid

    run(ear, 1, scenario)

    assert signed.ids()[1:] == ["long", "c", "d"]
    assert {ear.outcomes[job_id] for job_id in ("long", "c", "d")} == {DONE}


@pytest.mark.parametrize("warm", [True, False])
def test_what_was_handed_over_before_a_freeze_does_not_begin_after_it(
    ear: Ear, signed: Signed, *, warm: bool
) -> None:
    async def main() -> None:
        # It is asked before a child gets ready, and before each hand-over.
        frozen = Frozen(3 if warm else 2)
        executor = ProcessExecutor(1, ear.ended, frozen, machine=MACHINE)
        try:
            if warm:
                executor.submit(ear.delivery("warm", "signs"))
                assert await ear.outcome("warm") == DONE
            executor.machine = frozen
            executor.submit(ear.delivery("frozen", "signs"))
            assert await ear.outcome("frozen") == Interrupted()
        finally:
            executor.close()

    asyncio.run(main())

    assert signed.ids() == (["warm"] if warm else [])


def test_a_job_that_is_killed_takes_none_with_it_that_was_handed_over_behind_it(
    ear: Ear, signed: Signed
) -> None:
    async def scenario(executor: ProcessExecutor) -> None:
        made = handed(ear, executor, "long", "e", "f")
        pid = await signed.by("long")
        executor.stop(made["long"])
        await ear.until(lambda: ear.outcomes.keys() >= {"long", "e", "f"})
        assert await signed.by("e") != pid

    run(ear, 1, scenario)

    assert ear.outcomes["long"] == STOPPED
    assert {ear.outcomes["e"], ear.outcomes["f"]} == {DONE}
    assert signed.ids()[1:] == ["long", "e", "f"]
