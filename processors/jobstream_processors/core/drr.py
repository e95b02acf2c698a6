"""Deficit round robin: items of many flows, and which is next, so that each flow has its share.

Flows with items stand in a ring. A flow whose turn it is may spend a quantum times its weight, and
what it has left over, as long as it has items; then the next has its turn. Within a flow, items go
in the order in which they came. A flow without items leaves the ring and keeps nothing.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

Item = TypeVar("Item")


class Flow(Generic[Item]):
    """One flow, while it has items."""

    __slots__ = ("deficit", "has_turn", "items", "name", "weight")

    def __init__(self, name: str, weight: int) -> None:
        self.name, self.weight = name, weight
        self.items: dict[Item, None] = {}
        self.deficit = 0
        """What it may spend."""
        self.has_turn = False


class Drr(Generic[Item]):
    """Flows by name. Costs and quanta are whole numbers of any unit, at least 1."""

    def __init__(self) -> None:
        self._flows: dict[str, Flow[Item]] = {}
        self._ring: deque[Flow[Item]] = deque()
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def count(self, name: str) -> int:
        """How many items the flow has."""
        flow = self._flows.get(name)
        return 0 if flow is None else len(flow.items)

    def add(self, name: str, item: Item, weight: int = 1) -> None:
        """It comes behind the items of its flow; a flow that had none comes behind the others."""
        flow = self._flows.get(name)
        if flow is None:
            flow = self._flows[name] = Flow(name, weight)
            self._ring.append(flow)
        flow.items[item] = None
        self._count += 1

    def remove(self, name: str, item: Item) -> None:
        """Take it out, if it is there."""
        flow = self._flows.get(name)
        if flow is not None and item in flow.items:
            del flow.items[item]
            self._count -= 1
            if not flow.items:
                del self._flows[name]
                self._ring.remove(flow)

    def next(self, quantum: int, cost: Callable[[str], int]) -> Item:
        """Take out the item that is next. `cost` is what an item of a flow costs.

        Raises IndexError if there is none.
        """
        ring, passed = self._ring, 0
        while True:
            flow = ring[0]
            if not flow.has_turn:
                flow.has_turn = True
                flow.deficit += quantum * flow.weight
            costs = cost(flow.name)
            if flow.deficit >= costs:
                return self._spend(flow, costs)
            flow.has_turn = False
            ring.rotate(-1)
            passed += 1
            if passed == len(ring):
                self._skip(quantum, cost)

    def _spend(self, flow: Flow[Item], costs: int) -> Item:
        flow.deficit -= costs
        item = next(iter(flow.items))
        del flow.items[item]
        self._count -= 1
        if not flow.items:
            del self._flows[flow.name]
            self._ring.popleft()
        return item

    def _skip(self, quantum: int, cost: Callable[[str], int]) -> None:
        """Leave out the rounds in which no flow could have spent anything."""
        rounds = min(
            (cost(flow.name) - flow.deficit - 1) // (quantum * flow.weight) for flow in self._ring
        )
        for flow in self._ring:
            flow.deficit += rounds * quantum * flow.weight
