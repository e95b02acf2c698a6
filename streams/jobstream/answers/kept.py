"""Keeps what was read for a short time, so that many who ask cost one reading.

One reading of a thing goes on at a time; who asks meanwhile gets the last value if there is one,
else waits for it. A reading that fails leaves the last value, with the reason.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from jobstream.answers.as_of import as_of
from jobstream.answers.errors import SourceAway, TooBusy
from jobstream.errors import BrokerUnavailable
from jobstream.operate.errors import ReadStalled
from jobstream_processors.errors import TableUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from jobstream.answers.as_of import AsOf, Source

T = TypeVar("T")

FRESH_S = 2.0
"""A value of this age is given without a reading."""
USABLE_S = 600.0
"""A value older than this is not given, even if nothing newer can be read."""
ENTRIES_MAX = 256
WAIT_S_MAX = 20.0
"""How long one who asks waits for a reading that another one has begun."""
AWAY: tuple[type[Exception], ...] = (BrokerUnavailable, ReadStalled, TableUnavailable, SourceAway)
"""Errors that say that a source is away: a later reading may succeed."""


@dataclass(frozen=True, slots=True)
class CachedAnswer(Generic[T]):
    """A value, its age in seconds, and why it is no newer one."""

    value: T
    age_s: float
    stale: str = ""

    def as_of(self, source: Source = "log") -> AsOf:
        """The same in the words of an answer."""
        return as_of(source, self.age_s, time.time(), self.stale)


class _Entry:
    __slots__ = ("at_s", "lock", "value")

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.value: Any = None
        self.at_s: float | None = None


class AnswerCache:
    """Values by key, at most `entries_max`. Safe in any thread."""

    def __init__(
        self,
        *,
        fresh_s: float = FRESH_S,
        usable_s: float = USABLE_S,
        entries_max: int = ENTRIES_MAX,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._fresh_s, self._usable_s, self._entries_max = fresh_s, usable_s, entries_max
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._entries: OrderedDict[Hashable, _Entry] = OrderedDict()

    def get(self, key: Hashable, read: Callable[[], T]) -> CachedAnswer[T]:
        """The value of that key, read if it is not fresh; blocks for the reading.

        Raises SourceAway where the source is away and no usable value is known, TooBusy where
        another reading of the key takes too long, and what `read` raises otherwise.
        """
        entry = self._entry(key)
        if (held := self._fresh(entry)) is not None:
            return held
        known = self._age(entry)
        usable = known is not None and known <= self._usable_s
        if not entry.lock.acquire(timeout=0.0 if usable else WAIT_S_MAX):
            if usable and (age_s := self._age(entry)) is not None:
                return CachedAnswer(entry.value, age_s, "a newer one is being read")
            message = "the same is being read for another request, and takes long: ask again"
            raise TooBusy(message)
        try:
            return self._fresh(entry) or self._read(key, entry, read)
        finally:
            entry.lock.release()

    def forget(self, key: Hashable) -> None:
        """Read that anew at the next question, as after a change."""
        with self._lock:
            self._entries.pop(key, None)

    def forget_all(self) -> None:
        """Read everything anew, as after a change that concerns many."""
        with self._lock:
            self._entries.clear()

    def _read(self, key: Hashable, entry: _Entry, read: Callable[[], T]) -> CachedAnswer[T]:
        began_s = self._monotonic()
        try:
            value = read()
        except AWAY as error:
            age_s = self._age(entry)
            if age_s is not None and age_s <= self._usable_s:
                return CachedAnswer(entry.value, age_s, str(error))
            if isinstance(error, SourceAway):
                raise
            raise SourceAway(str(error)) from error
        except Exception:
            if entry.at_s is None:
                self.forget(key)
            raise
        # True of the moment at which the reading began, at the latest.
        entry.value, entry.at_s = value, began_s
        return CachedAnswer(value, self._monotonic() - began_s)

    def _entry(self, key: Hashable) -> _Entry:
        with self._lock:
            entry = self._entries.setdefault(key, _Entry())
            self._entries.move_to_end(key)
            while len(self._entries) > self._entries_max:
                self._entries.popitem(last=False)
            return entry

    def _age(self, entry: _Entry) -> float | None:
        return None if entry.at_s is None else self._monotonic() - entry.at_s

    def _fresh(self, entry: _Entry) -> CachedAnswer[Any] | None:
        age_s = self._age(entry)
        return (
            CachedAnswer(entry.value, age_s)
            if age_s is not None and age_s <= self._fresh_s
            else None
        )
