"""A store of keys in this process: for tests, and for a service of one process that may forget."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, assert_never

from jobstream.idempotency.errors import StoreAway
from jobstream.idempotency.key_states import (
    Answered,
    InUse,
    Mine,
    OtherRequest,
    Unkept,
)
from jobstream.idempotency.run_token import new_token
from jobstream.idempotency.stored_answer import StoredAnswer

if TYPE_CHECKING:
    from collections.abc import Callable

    from jobstream.idempotency.key_states import Begun, KeySlot, KeyTerms

KEYS_MAX = 100_000
BYTES_MAX = 64 * 1024 * 1024
ENTRY_BYTES = 512
"""Taken for what an entry weighs beside its answer."""
RELEASED_MS = float("-inf")
"""The lease of a run that gave up: over for all time, since no renewal changes it."""


@dataclass(slots=True)
class _Entry:
    digest: str
    token: str
    attempt: int
    lease_ms: float
    expires_ms: float
    answer: StoredAnswer | Unkept | None = None

    @property
    def size(self) -> int:
        return ENTRY_BYTES + (self.answer.size if isinstance(self.answer, StoredAnswer) else 0)


class MemoryKeyStore:
    """Keys of this process; a restart forgets them, and another process has its own.

    It holds `keys_max` keys and `bytes_max` bytes; beyond, `begin` raises StoreAway until answers
    expire. `now_ms` is its clock, in milliseconds.
    """

    blocks = False

    def __init__(
        self,
        *,
        keys_max: int = KEYS_MAX,
        bytes_max: int = BYTES_MAX,
        now_ms: Callable[[], float] = lambda: time.monotonic() * 1000,
    ) -> None:
        self._keys_max, self._bytes_max, self._now_ms = keys_max, bytes_max, now_ms
        self._lock = threading.Lock()
        self._entries: dict[KeySlot, _Entry] = {}
        self._bytes = 0

    def begin(self, slot: KeySlot, digest: str, terms: KeyTerms) -> Begun:
        """As `KeyStore.begin`; raises StoreAway where it is full."""
        with self._lock:
            now = self._now_ms()
            entry = self._entries.get(slot)
            if entry is not None and entry.expires_ms > now:
                found = self._known(entry, digest, now)
                if found is not None:
                    return found
            else:
                if entry is not None:
                    self._forget(slot)
                    entry = None
                self._make_room()
            attempt = 1 if entry is None else entry.attempt + 1
            mine = Mine(slot, new_token(), attempt)
            if entry is not None:
                self._bytes -= entry.size
            made = _Entry(digest, mine.token, attempt, now + terms.lease_ms, now + terms.running_ms)
            self._entries[slot] = made
            self._bytes += made.size
            return mine

    def renew(self, mine: Mine, terms: KeyTerms) -> bool:
        """As `KeyStore.renew`."""
        with self._lock:
            entry = self._own(mine)
            if entry is None or entry.lease_ms == RELEASED_MS:
                return False
            now = self._now_ms()
            entry.lease_ms, entry.expires_ms = now + terms.lease_ms, now + terms.running_ms
            return True

    def keep(self, mine: Mine, answer: StoredAnswer | Unkept, terms: KeyTerms) -> bool:
        """As `KeyStore.keep`."""
        with self._lock:
            entry = self._own(mine)
            if entry is None:
                return False
            self._bytes -= entry.size
            entry.answer, entry.expires_ms = answer, self._now_ms() + terms.keep_ms
            self._bytes += entry.size
            return True

    def release(self, mine: Mine) -> bool:
        """As `KeyStore.release`."""
        with self._lock:
            entry = self._own(mine)
            if entry is None:
                return False
            entry.lease_ms = RELEASED_MS
            return True

    def sweep(self, limit: int = 1_000) -> int:
        """As `KeyStore.sweep`; looks at every key."""
        with self._lock:
            now = self._now_ms()
            over = [slot for slot, entry in self._entries.items() if entry.expires_ms <= now]
            for slot in over[:limit]:
                self._forget(slot)
            return min(limit, len(over))

    def _known(self, entry: _Entry, digest: str, now: float) -> Begun | None:
        """What stands in the way; None if the same request may run."""
        if entry.digest != digest:
            return OtherRequest()
        match entry.answer:
            case None:
                return InUse() if entry.lease_ms > now else None
            case StoredAnswer() as answer:
                return Answered(answer)
            case Unkept() as unkept:
                return unkept
        assert_never(entry.answer)

    def _own(self, mine: Mine) -> _Entry | None:
        entry = self._entries.get(mine.slot)
        return entry if entry and entry.token == mine.token and entry.answer is None else None

    def _forget(self, slot: KeySlot) -> None:
        self._bytes -= self._entries.pop(slot).size

    def _is_full(self) -> bool:
        return len(self._entries) >= self._keys_max or self._bytes >= self._bytes_max

    def _make_room(self) -> None:
        if not self._is_full():
            return
        now = self._now_ms()
        for slot in [slot for slot, entry in self._entries.items() if entry.expires_ms <= now]:
            self._forget(slot)
        if self._is_full():
            message = (
                f"the store in memory is full: {len(self._entries)} keys of {self._keys_max}, "
                f"{self._bytes} bytes of {self._bytes_max}; use a SqlKeyStore, or raise its limits"
            )
            raise StoreAway(message)
