"""Jobs of one partition that share an order key run one at a time, in the order they were begun."""

from __future__ import annotations

from collections import deque
from itertools import chain
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterator

Item = TypeVar("Item")


class KeyChains(Generic[Item]):
    """For each busy key, the jobs waiting for it. Not thread-safe."""

    __slots__ = ("_waiting",)

    def __init__(self) -> None:
        self._waiting: dict[str, deque[Item]] = {}

    def take(self, key: str, item: Item) -> bool:
        """Whether `item` may start now; otherwise it waits its turn."""
        waiting = self._waiting.get(key)
        if waiting is None:
            self._waiting[key] = deque()
            return True
        waiting.append(item)
        return False

    def free(self, key: str) -> Item | None:
        """Give the key up; returns the job that holds it from now on, if any waits."""
        waiting = self._waiting[key]
        if waiting:
            return waiting.popleft()
        del self._waiting[key]
        return None

    def leave(self, key: str, item: Item) -> None:
        """`item`, which waits for the key, waits no more; raises ValueError if it does not wait."""
        self._waiting[key].remove(item)

    def waiting(self) -> Iterator[Item]:
        """Whatever waits for a key."""
        return chain.from_iterable(self._waiting.values())

    def __len__(self) -> int:
        """How many keys are busy."""
        return len(self._waiting)
