"""The deliveries of one lane that no mirror has announced, in order of offsets, and who runs them.

How many are for each executor is counted, since it is asked at every look and nearly never matters.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from typing import TYPE_CHECKING

from jobstream_processors.delivery import offset_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from jobstream_processors.delivery import Delivery


class Unannounced:
    """Used on the event loop's thread."""

    def __init__(self) -> None:
        self._waiting: list[Delivery] = []
        self.by_executor: dict[str, int] = {}
        """How many there are for each, by the name of the executor of their job type."""

    def __len__(self) -> int:
        return len(self._waiting)

    def __iter__(self) -> Iterator[Delivery]:
        return iter(self._waiting)

    def add(self, deliveries: Sequence[Delivery]) -> None:
        """Take these in, which are in order of offsets."""
        waiting, counts = self._waiting, self.by_executor
        for delivery in deliveries:
            name = _executor_of(delivery)
            counts[name] = counts.get(name, 0) + 1
        if waiting and waiting[-1].offset > deliveries[0].offset:
            for delivery in deliveries:
                insort(waiting, delivery, key=offset_of)
        else:
            waiting.extend(deliveries)

    def below(self, offset: int) -> list[Delivery]:
        """Take out those below it."""
        count = bisect_left(self._waiting, offset, key=offset_of)
        found, self._waiting = self._waiting[:count], self._waiting[count:]
        self._uncount(found)
        return found

    def remove(self, delivery: Delivery) -> None:
        """Take out this one."""
        del self._waiting[bisect_left(self._waiting, delivery.offset, key=offset_of)]
        self._uncount((delivery,))

    def clear(self) -> None:
        """Take out all."""
        self._waiting.clear()
        self.by_executor.clear()

    def end_of(self, count: int) -> int:
        """The offset behind so many of them, or behind all."""
        return self._waiting[min(count, len(self._waiting)) - 1].offset + 1

    def end_of_those(self, executor: str, count: int, among: int) -> int:
        """The offset behind so many for that executor among the first ones; 0 if none of them is.

        If they are fewer, behind all of these.
        """
        theirs = [each for each in self._waiting[:among] if _executor_of(each) == executor]
        return theirs[:count][-1].offset + 1 if theirs else 0

    def _uncount(self, deliveries: Iterable[Delivery]) -> None:
        for delivery in deliveries:
            self.by_executor[_executor_of(delivery)] -= 1


def _executor_of(delivery: Delivery) -> str:
    return delivery.spec.executor if delivery.spec is not None else ""
