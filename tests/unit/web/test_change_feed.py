"""Those who subscribe to changes: what is left of one whose stream could not begin."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from jobstream.answers.errors import SourceAway, TooBusy
from jobstream.web.change_feed import ChangeEvent, ChangeFeed

if TYPE_CHECKING:
    from collections.abc import Callable


class Ends:
    """Hears ends of jobs for those that listen."""

    def __init__(self) -> None:
        self.listeners: list[Callable[[Any], None]] = []

    def listen(self, heard: Callable[[Any], None]) -> Callable[[], None]:
        self.listeners.append(heard)
        return lambda: self.listeners.remove(heard)


class Asked:
    """Calls what blocks, and is too busy for the first that want to listen."""

    def __init__(self, ends: Ends, busy: int) -> None:
        self._ends, self._busy = ends, busy

    async def __call__(self, function: Callable[..., Any], *given: Any) -> Any:  # noqa: ANN401 - as the desk's
        await asyncio.sleep(0)
        if function != self._ends.listen:
            message = "no brokers here"
            raise SourceAway(message)
        if self._busy:
            self._busy -= 1
            message = "32 questions are under way"
            raise TooBusy(message)
        return function(*given)


def every(_: ChangeEvent) -> bool:
    return True


def test_a_stream_that_could_not_begin_takes_up_no_room_and_silences_no_other() -> None:
    async def main() -> None:
        ends, closing = Ends(), asyncio.Event()
        site: Any = SimpleNamespace(ends=ends)
        feed = ChangeFeed(site, Asked(ends, busy=1), closing, 2)

        refused, begun = await asyncio.gather(
            feed.subscribe(every, jobs=True),
            feed.subscribe(every, jobs=True),
            return_exceptions=True,
        )

        assert isinstance(refused, TooBusy)
        assert not isinstance(begun, BaseException)
        assert (len(feed), len(ends.listeners)) == (1, 1)
        another = await feed.subscribe(every, jobs=True)
        with pytest.raises(TooBusy):
            await feed.subscribe(every, jobs=True)
        for each in (begun, another):
            feed.unsubscribe(each, jobs=True)
        assert (len(feed), ends.listeners) == (0, [])
        closing.set()

    asyncio.run(main())
