"""What a process ends with: an error of one role leaves the others their drain."""

from __future__ import annotations

import asyncio

import pytest

from jobstream import leaving
from jobstream_processors.errors import WorkerStopped


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


def test_an_error_of_a_thread_waits_for_the_drain_of_all() -> None:
    async def main() -> None:
        roles, error = Roles(), ValueError("thread")
        leaving.tell(asyncio.get_running_loop(), roles.broken, error)
        leaving.tell(asyncio.get_running_loop(), roles.broken, ValueError("a second one"))
        await rounds()
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
