"""What a process ends with: an error of one role leaves the others their drain."""

from __future__ import annotations

import asyncio
import signal
import time
from typing import TYPE_CHECKING, Any

import pytest

from jobstream.roles import run_loop as leaving
from jobstream_processors.errors import WorkerStopped

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable


class Roles:
    """Two roles of one process, of which the test ends each when it likes."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.broken: asyncio.Future[BaseException] = loop.create_future()
        self.ends: list[asyncio.Future[None]] = [loop.create_future() for _ in range(2)]
        self.work = [loop.create_task(self._role(end)) for end in self.ends]
        self.ended = loop.create_task(leaving.drained(self.work, self.broken))

    @staticmethod
    async def _role(end: asyncio.Future[None]) -> None:
        await end


async def rounds() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def test_an_error_of_one_role_waits_for_the_drain_of_the_other() -> None:
    async def main() -> None:
        roles, error = Roles(), ValueError("rung")
        roles.ends[0].set_exception(error)
        await rounds()
        assert not roles.ended.done()
        assert not roles.work[1].done()

        roles.ends[1].set_result(None)

        assert await roles.ended is error

    asyncio.run(main())


def test_an_error_of_a_thread_waits_for_the_drain_of_all(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def main() -> None:
        roles, error = Roles(), ValueError("thread")
        leaving.tell(asyncio.get_running_loop(), roles.broken, error)
        leaving.tell(asyncio.get_running_loop(), roles.broken, ValueError("a second one"))
        await rounds()
        told = [r.exc_info[1] for r in caplog.records if r.exc_info]
        assert [str(each) for each in told] == ["thread", "a second one"]
        assert not roles.ended.done()

        for end in roles.ends:
            end.set_result(None)

        assert await roles.ended is error

    asyncio.run(main())


@pytest.mark.parametrize("by_thread", [True, False])
def test_a_process_that_must_publish_nothing_more_ends_at_once(*, by_thread: bool) -> None:
    async def main() -> None:
        roles, error = Roles(), WorkerStopped("slept")
        if by_thread:
            leaving.tell(asyncio.get_running_loop(), roles.broken, error)
        else:
            roles.ends[1].set_exception(error)

        assert await roles.ended is error
        assert not roles.work[0].done()
        roles.work[0].cancel()

    asyncio.run(main())


def test_roles_that_end_well_end_the_process_well() -> None:
    async def main() -> None:
        roles = Roles()
        for end in roles.ends:
            end.set_result(None)

        assert await roles.ended is None

    asyncio.run(main())


async def exits() -> None:
    raise SystemExit(3)


async def interrupts() -> None:
    raise KeyboardInterrupt


async def stops() -> None:
    asyncio.get_running_loop().stop()


@pytest.mark.parametrize("ends", [exits, interrupts, stops])
def test_no_task_of_a_handler_ends_the_loop(
    ends: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    # As in a worker, which has signals of its own.
    monkeypatch.setattr(leaving, "_is_from_a_terminal", lambda: False)
    rounds_after: list[str] = []

    async def main() -> None:
        task = asyncio.create_task(ends())
        await asyncio.wait([task])
        task.exception()  # so that nobody is told that it was not looked at
        await rounds()
        rounds_after.append("on")

    leaving.run(main())

    assert rounds_after == ["on"]


def test_a_ctrl_c_that_nobody_else_hears_is_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    # Whoever runs tests in the background has them ignore it.
    monkeypatch.setattr(signal, "getsignal", lambda _: signal.default_int_handler)

    async def main() -> None:
        await asyncio.wait([asyncio.create_task(interrupts())])

    with pytest.raises(KeyboardInterrupt):
        leaving.run(main())


def test_a_clean_up_under_way_is_not_cancelled_again_by_leaving() -> None:
    log: list[str] = []

    async def cleans_up() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await rounds()
            log.append("rolled back")

    async def main() -> None:
        task = asyncio.create_task(cleans_up())
        await rounds()
        task.cancel()  # as an executor does at the end of a drain
        await asyncio.sleep(0)

    leaving.run(main(), 60.0)

    assert log == ["rolled back"]


def test_a_generator_that_never_closes_does_not_keep_the_process() -> None:
    async def endless() -> AsyncIterator[int]:
        try:
            yield 1
        finally:
            await asyncio.Event().wait()

    kept: list[AsyncIterator[int]] = []

    async def main() -> None:
        kept.append(endless())
        await anext(kept[0])

    began = time.monotonic()
    leaving.run(main(), 0.05)
    assert time.monotonic() - began < 20
