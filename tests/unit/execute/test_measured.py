"""Each executor measures a run once, whichever way it ends, and leaves out the wait for a slot."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

import pytest

from jobstream.kafka.client.broker_clock import MACHINE
from jobstream_processors.core.outcome import TimedOut
from jobstream_processors.execute.on_loop import LoopExecutor
from jobstream_processors.execute.on_processes import ProcessExecutor
from jobstream_processors.execute.on_threads import ThreadExecutor
from jobstream_processors.histogram import Edges
from jobstream_processors.meter import TypeMeter

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.unit.execute.conftest import Ear

EDGES = Edges(run=(1.0,), wait=(1.0,), attempts=(1.0,), late=(1.0,))
PAUSE_S = 0.05
HANDLER = """
import time

def pauses(_args):
    time.sleep(0.5)

def fails(_args):
    raise ValueError("no such address")
"""


async def _pauses(_: object) -> None:
    await asyncio.sleep(PAUSE_S)  # work


async def _at_once(_: object) -> None:
    """Never waits."""


async def _fails(_: object) -> None:
    raise ValueError


async def _fails_later(_: object) -> None:
    await asyncio.sleep(0)
    raise ValueError


def _sync(_: object) -> None:
    threading.Event().wait(PAUSE_S)


def _sync_fails(_: object) -> None:
    raise ValueError


ON: dict[str, Callable[[Ear], Any]] = {
    "async": lambda ear: LoopExecutor(1, ear.ended, ear.returned, machine=MACHINE),
    "thread": lambda ear: ThreadExecutor(1, ear.ended, ear.returned, machine=MACHINE),
    "process": lambda ear: ProcessExecutor(1, ear.ended, machine=MACHINE),
}


def runs(ear: Ear, executor: str, job: str) -> TypeMeter:
    """Two deliveries of the job, one after the other on one slot; what was measured of them."""
    meter = TypeMeter("mail", job, EDGES, None)
    seen: list[list[tuple[Any, float]]] = []

    async def main() -> None:
        made = ON[executor](ear)
        for job_id in ("a", "b"):
            delivery = ear.delivery(job_id, job)
            delivery.meter = meter
            made.submit(delivery)
        for job_id in ("a", "b"):
            await ear.outcome(job_id)
        seen.append(made.running())
        made.close()

    asyncio.run(main())
    assert not [d for d, _ in seen[0] if d.id in ear.outcomes and executor != "async"]
    return meter


@pytest.mark.parametrize(
    ("executor", "handler", "ok", "errors"),
    [
        ("async", _at_once, 2, 0),
        ("async", _pauses, 2, 0),
        ("async", _fails, 0, 2),
        ("async", _fails_later, 0, 2),
        ("thread", _sync, 2, 0),
        ("thread", _sync_fails, 0, 2),
    ],
)
def test_a_run_is_measured_once(
    ear: Ear,
    executor: str,
    handler: Callable[..., Any],
    ok: int,
    errors: int,
) -> None:
    ear.shop.handle("job", handler, executor)

    meter = runs(ear, executor, "job")

    assert (len(meter.runs), len(meter.errors), len(meter.waits)) == (ok, errors, 2)
    assert all(0 <= seconds < 20 for seconds in (*meter.runs, *meter.errors))


def test_the_wait_for_a_slot_is_queue_wait_and_no_run(ear: Ear) -> None:
    ear.shop.handle("job", _sync, "thread")

    meter = runs(ear, "thread", "job")

    # Both were taken up together; the second one began after the first had ended.
    assert meter.waits[1] - meter.waits[0] >= PAUSE_S * 1_000 * 0.9
    assert all(seconds >= PAUSE_S * 0.9 for seconds in meter.runs)


def test_child_processes_are_measured_from_the_start_of_the_handler(
    ear: Ear, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "measured_here.py").write_text(HANDLER)
    monkeypatch.syspath_prepend(str(tmp_path))
    module = __import__("measured_here")
    ear.shop.handle("pauses", module.pauses, "process")

    meter = runs(ear, "process", "pauses")

    assert (len(meter.runs), len(meter.errors), len(meter.waits)) == (2, 0, 2)
    # The child's start belongs to the wait. A busy worker hears late that the handler began.
    assert all(0.25 <= seconds < 20 for seconds in meter.runs)


def test_a_thread_past_its_limit_is_measured_when_it_is_given_up_and_not_again(ear: Ear) -> None:
    begun, leave = threading.Event(), threading.Event()

    def stays(_: object) -> None:
        begun.set()
        leave.wait(20)

    ear.shop.handle("stays", stays, "thread", timeout_ms=1)
    meter = TypeMeter("mail", "stays", EDGES, None)
    listed: list[list[tuple[Any, float]]] = []

    async def main() -> None:
        executor = ThreadExecutor(1, ear.ended, ear.returned, machine=ear.shop.clock)
        delivery = ear.delivery("a", "stays")
        delivery.meter = meter
        executor.submit(delivery)
        assert await asyncio.to_thread(begun.wait, 20)
        listed.append(executor.running())
        ear.shop.clock.advance(1)
        executor.expire()
        leave.set()
        await ear.until(lambda: ear.stopped)
        executor.close()

    asyncio.run(main())

    assert ear.outcomes == {"a": TimedOut(1)}
    assert (len(meter.runs), len(meter.errors), len(meter.waits)) == (0, 1, 1)
    assert [(delivery.id, began > 0) for delivery, began in listed[0]] == [("a", True)]
