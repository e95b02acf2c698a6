"""Which errors on the event loop are a fault of ours: those end the worker, no others."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from jobstream_processors.core.headers import parse
from jobstream_processors.errors import BadHeaders
from jobstream_processors.execute.on_loop import RUNNER_FAILED
from jobstream_processors.watch.loop_watch import own_fault

if TYPE_CHECKING:
    from collections.abc import Callable


def told(callback: Callable[..., object], *args: object) -> dict[str, Any]:
    """What asyncio tells its exception handler of a callback."""
    heard: list[dict[str, Any]] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _loop, context: heard.append(context))
        loop.call_soon(callback, *args)
        await asyncio.sleep(0)

    asyncio.run(main())
    return heard[0]


def test_a_callback_of_this_package_is_ours() -> None:
    context = told(parse, [("js-attempt", b"none")])

    assert isinstance(own_fault(context), BadHeaders)


def test_a_callback_of_somebody_else_is_not() -> None:
    def foreign() -> None:
        raise LookupError

    assert own_fault(told(foreign)) is None
    assert own_fault(told(int, "a callback without a frame of its own")) is None


def test_a_task_that_user_code_left_behind_is_not() -> None:
    assert own_fault({"message": "Task exception was never retrieved", "exception": OSError()}) is (
        None
    )
    assert own_fault({"message": "a warning"}) is None


def test_a_runner_that_failed_is_ours() -> None:
    error = OSError()

    assert own_fault({"message": RUNNER_FAILED, "exception": error}) is error
