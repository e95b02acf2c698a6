"""Where deliveries wait for a slot of an executor: a line for each queue, and which is next.

A worker that serves one queue has a plain deque. Where it serves several, the first that was named
goes first (`InOrder`), or the slots' time is shared by weight (`execute/by_weight.py`).
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from jobstream_processors.assignment.lane import Lane
    from jobstream_processors.core.outcome import Outcome
    from jobstream_processors.delivery import Delivery

    Ended = Callable[[Delivery, Outcome], None]
    Returned = Callable[[Delivery], None]
    Running = Callable[[], list[tuple[Delivery, float]]]


class SlotLine(Protocol):
    """Deliveries that wait for a slot. Used on the loop's thread.

    A delivery that is taken out by `popleft` has a slot from then on.
    """

    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[Delivery]: ...
    def __contains__(self, delivery: object, /) -> bool: ...

    def append(self, delivery: Delivery, /) -> None:
        """It waits, behind those of its queue."""

    def popleft(self) -> Delivery:
        """Take out the next one. Raises IndexError if none waits."""

    def first(self) -> Delivery:
        """The one that `popleft` would take out."""

    def take(self, first: Delivery) -> None:
        """Take out the one that `first` gave; it has a slot."""

    def remove(self, delivery: Delivery, /) -> None:
        """Take it out without a slot."""

    def withdraw(self, lane: Lane) -> list[Delivery]:
        """Take out those of the lane, without slots."""

    def put_back(self, delivery: Delivery, turns: Mapping[Delivery, int]) -> None:
        """It had a slot and did not begin: it waits again, by its turn among those of its queue."""

    def beside(self, queue: str) -> int:
        """How many wait that are of other queues, and so do not stand before one of this queue."""

    def ear(self, ended: Ended, returned: Returned, running: Running) -> tuple[Ended, Returned]:
        """What the executor is to call in place of these, so that the line hears of each end.

        `running` tells what has a slot, and when it began.
        """


class OneQueue(deque["Delivery"]):
    """The line where one queue is served: each goes in the order in which it came."""

    def first(self) -> Delivery:
        """The one that came first."""
        return self[0]

    def take(self, first: Delivery) -> None:
        """Take out the one that came first."""
        taken = self.popleft()
        assert taken is first, "it stands first"  # noqa: S101

    def withdraw(self, lane: Lane) -> list[Delivery]:
        """Take out those of the lane."""
        taken = [delivery for delivery in self if delivery.lane is lane]
        if taken:
            kept = [delivery for delivery in self if delivery.lane is not lane]
            self.clear()
            self.extend(kept)
        return taken

    def put_back(self, delivery: Delivery, turns: Mapping[Delivery, int]) -> None:
        """Before those that came later."""
        before = []
        while self and turns[self[0]] < turns[delivery]:
            before.append(self.popleft())
        self.appendleft(delivery)
        self.extendleft(reversed(before))

    def beside(self, queue: str) -> int:  # noqa: ARG002 - all are of one queue
        """None."""
        return 0

    def ear(
        self,
        ended: Ended,
        returned: Returned,
        running: Running,  # noqa: ARG002 - the shape of it
    ) -> tuple[Ended, Returned]:
        """The same: ends change nothing here."""
        return ended, returned


class SeveralQueues:
    """A line for each queue, in the order in which they are to be served where all is equal."""

    def __init__(self, queues: Iterable[str]) -> None:
        self._numbers = {queue: number for number, queue in enumerate(queues)}
        self._lines = [OneQueue() for _ in self._numbers]
        self._some: dict[int, None] = {}
        """Numbers of the lines in which any wait."""
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Delivery]:
        for line in self._lines:
            yield from line

    def __contains__(self, delivery: object, /) -> bool:
        return any(delivery in line for line in self._lines)

    def append(self, delivery: Delivery, /) -> None:
        """It waits, behind those of its queue."""
        self._grown(delivery).append(delivery)

    def popleft(self) -> Delivery:
        """Take out the next one; it has a slot."""
        delivery = self._lines[self._next()][0]
        self.take(delivery)
        return delivery

    def first(self) -> Delivery:
        """The one that `popleft` would take out."""
        return self._lines[self._next()][0]

    def take(self, first: Delivery) -> None:
        """Take out the first one of its queue; it has a slot."""
        number = self._numbers[first.lane.queue]
        self._lines[number].take(first)
        self._took(number)
        self._starts(number, first)

    def remove(self, delivery: Delivery, /) -> None:
        """Take it out without a slot."""
        self._line_of(delivery).remove(delivery)
        self._took(self._numbers[delivery.lane.queue])

    def withdraw(self, lane: Lane) -> list[Delivery]:
        """Take out those of the lane, without slots."""
        number = self._numbers[lane.queue]
        taken = self._lines[number].withdraw(lane)
        if taken:
            self._took(number, len(taken))
        return taken

    def put_back(self, delivery: Delivery, turns: Mapping[Delivery, int]) -> None:
        """It waits again, as if it had never had a slot."""
        self._ends(delivery, began=False)
        self._grown(delivery).put_back(delivery, turns)

    def beside(self, queue: str) -> int:
        """How many wait that are of other queues."""
        return self._count - len(self._lines[self._numbers[queue]])

    def ear(
        self,
        ended: Ended,
        returned: Returned,
        running: Running,  # noqa: ARG002 - the shape of it
    ) -> tuple[Ended, Returned]:
        """The same, unless ends matter."""
        return ended, returned

    def _line_of(self, delivery: Delivery) -> OneQueue:
        return self._lines[self._numbers[delivery.lane.queue]]

    def _grown(self, delivery: Delivery) -> OneQueue:
        """The line of its queue, which gets one more."""
        number = self._numbers[delivery.lane.queue]
        line = self._lines[number]
        if not line:
            self._enter(number)
        self._count += 1
        return line

    def _took(self, number: int, count: int = 1) -> None:
        self._count -= count
        if not self._lines[number]:
            del self._some[number]

    def _enter(self, number: int) -> None:
        """The line was empty, and is not any more."""
        self._some[number] = None

    def _next(self) -> int:
        """The number of the line that is next. Raises IndexError if none waits."""
        if not self._some:
            message = "none waits"
            raise IndexError(message)
        return min(self._some)

    def _starts(self, number: int, delivery: Delivery) -> None:
        """It has a slot."""

    def _ends(self, delivery: Delivery, *, began: bool = True) -> None:
        """It has a slot no more, if it had one."""


class InOrder(SeveralQueues):
    """The first queue that has work goes first, always: it may starve the others."""
