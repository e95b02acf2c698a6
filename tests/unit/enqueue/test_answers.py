"""Many answers cost one call of the event loop; each waits for its own time and no longer."""

from __future__ import annotations

import asyncio
import gc
from typing import TYPE_CHECKING, Any, TypeVarTuple

import pytest

from jobstream.enqueue.answers import Answers
from jobstream.errors import EnqueueError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from contextvars import Context

Given = TypeVarTuple("Given")
LIMIT_S = 120.0
JOBS = 100


class Loop(asyncio.SelectorEventLoop):
    """Counts how often other threads call it; its clock can be moved."""

    def __init__(self) -> None:
        self.calls = 0
        self.ahead_s = 0.0
        super().__init__()

    def call_soon_threadsafe(
        self, callback: Callable[[*Given], object], *args: *Given, context: Context | None = None
    ) -> asyncio.Handle:
        self.calls += 1
        return super().call_soon_threadsafe(callback, *args, context=context)

    def time(self) -> float:
        return super().time() + self.ahead_s


def run(loop: Loop, main: Coroutine[Any, Any, None]) -> None:
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(main)


def test_reports_that_come_together_are_one_call_of_the_loop() -> None:
    loop = Loop()

    async def main() -> None:
        answers = Answers(loop, LIMIT_S)
        expected = [answers.expect() for _ in range(JOBS)]

        for number, (_, done) in enumerate(expected):
            done(None, 3, number)

        assert loop.calls == 1
        assert [await answer for answer, _ in expected] == [(3, n) for n in range(JOBS)]
        later, done = answers.expect()
        done(None, 4, 0)
        assert loop.calls == 2
        assert await later == (4, 0)

    run(loop, main())


def test_each_has_its_own_error() -> None:
    loop = Loop()

    async def main() -> None:
        answers, refused = Answers(loop, LIMIT_S), EnqueueError("no")
        (first, done), (second, done_too) = answers.expect(), answers.expect()
        done(refused, -1, -1)
        done_too(None, 0, 7)

        with pytest.raises(EnqueueError) as caught:
            await first
        assert caught.value is refused
        assert await second == (0, 7)

    run(loop, main())


def test_who_gave_up_waiting_disturbs_no_other() -> None:
    loop = Loop()

    async def main() -> None:
        answers = Answers(loop, LIMIT_S)
        (first, done), (second, done_too) = answers.expect(), answers.expect()
        first.cancel()
        done(None, 0, 0)
        done_too(None, 0, 1)

        assert await second == (0, 1)

    run(loop, main())


def test_one_without_a_report_fails_in_its_time_and_a_later_one_waits_on() -> None:
    loop = Loop()

    async def main() -> None:
        answers = Answers(loop, LIMIT_S)
        first, _ = answers.expect()
        loop.ahead_s += LIMIT_S / 2
        second, _ = answers.expect()
        loop.ahead_s += LIMIT_S / 2 + 1

        with pytest.raises(TimeoutError):
            await first
        assert not second.done()
        loop.ahead_s += LIMIT_S / 2
        with pytest.raises(TimeoutError):
            await second
        third, _ = answers.expect()
        loop.ahead_s += LIMIT_S
        with pytest.raises(TimeoutError):
            await third

    run(loop, main())


def test_what_was_not_sent_is_not_waited_for() -> None:
    loop = Loop()

    async def main() -> None:
        answers = Answers(loop, LIMIT_S)
        unsent, _ = answers.expect()
        second, _ = answers.expect()
        answers.unsent(unsent)
        loop.ahead_s += LIMIT_S + 1

        with pytest.raises(TimeoutError):
            await second
        assert not unsent.done()

    run(loop, main())


def test_a_record_may_be_refused_after_its_time_is_over() -> None:
    """A loop that stood still runs its timer before the coroutine that looks for room."""
    loop, complaints = Loop(), []
    loop.set_exception_handler(lambda _, told: complaints.append(told))

    async def main() -> None:
        answers = Answers(loop, LIMIT_S)
        refused, _ = answers.expect()
        loop.ahead_s += LIMIT_S + 1
        await asyncio.wait({refused})

        answers.unsent(refused)

    run(loop, main())
    gc.collect()
    assert complaints == []


def test_a_report_for_a_closed_loop_is_dropped() -> None:
    loop = Loop()

    async def main() -> None:
        reports.append(Answers(loop, LIMIT_S).expect()[1])

    reports: list[Any] = []
    run(loop, main())

    reports[0](None, 0, 0)
    assert loop.calls == 1
