"""One thread that renews leases of running requests, stores late answers, and sweeps the store.

It is a thread of its own, so that a handler which holds the event loop keeps its key.
"""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING

from jobstream.idempotency.errors import IdempotencyError
from jobstream_processors.background import in_background, log_end
from jobstream_processors.forked import tell_in_child

if TYPE_CHECKING:
    from jobstream.idempotency.key_states import KeyTerms, Mine, Unkept
    from jobstream.idempotency.key_store_port import KeyStore
    from jobstream.idempotency.request_counts import RequestCounts
    from jobstream.idempotency.stored_answer import StoredAnswer

RENEWALS_PER_LEASE = 3
OWED_MAX = 1_000
"""Answers that wait for a store that is away; beyond, the newest is given up."""
SWEEP_EVERY_S = 60.0
SWEEP_BATCH = 500
SWEEP_BATCHES_MAX = 20
"""In one turn, so that a large table is worked off in parts."""
NAME = "jobstream-keys"

log = logging.getLogger("jobstream.idempotency")


class LeaseThread:
    """Holds the keys of the requests that run in this process. Any thread may call it."""

    def __init__(self, store: KeyStore, terms: KeyTerms, counts: RequestCounts) -> None:
        """Start nothing; the thread starts with the first key, in the process that has it."""
        self._store, self._terms, self._counts = store, terms, counts
        self._every_s = terms.lease_ms / 1000 / RENEWALS_PER_LEASE
        self.forked()
        tell_in_child(self)

    def forked(self) -> None:
        """In a forked child: there is no thread yet, and the parent's keys are the parent's."""
        self._lock = threading.Lock()
        self._held: dict[str, tuple[Mine, float]] = {}
        self._owed: dict[str, tuple[Mine, StoredAnswer | Unkept]] = {}
        self._work = threading.Event()
        self._leaves = threading.Event()
        self._thread: threading.Thread | None = None
        self._swept = -SWEEP_EVERY_S

    def hold(self, mine: Mine) -> None:
        """Renew the key's lease until it is dropped."""
        with self._lock:
            self._held[mine.token] = (mine, time.monotonic())
            if self._thread is None:
                self._thread = in_background(NAME, self._run, log_end(NAME))
        if not self._work.is_set():
            self._work.set()

    def drop(self, mine: Mine) -> None:
        """Renew it no more."""
        with self._lock:
            self._held.pop(mine.token, None)

    def owe(self, mine: Mine, answer: StoredAnswer | Unkept) -> None:
        """Store the answer as soon as the store takes it; the key's lease is not renewed."""
        with self._lock:
            if len(self._owed) < OWED_MAX:
                self._owed[mine.token] = (mine, answer)
        self._work.set()

    def close(self) -> None:
        """Let the thread end; keys that are held lose their leases in time."""
        self._leaves.set()
        self._work.set()

    def _run(self) -> None:
        while True:
            self._work.wait()
            if self._leaves.wait(self._every_s):
                return
            try:
                self._turn()
            except IdempotencyError as error:
                log.warning("idempotency_store_down", extra={"reason": str(error), "during": NAME})
            except Exception as error:
                # A store of the user's may raise anything, and leases must be renewed all the same.
                log.exception("idempotency_renewal_failed", extra={"reason": repr(error)})

    def _turn(self) -> None:
        young = time.monotonic() - self._every_s / 2
        with self._lock:
            held = [mine for mine, since in self._held.values() if since <= young]
            owed = list(self._owed.values())
            if not self._held and not owed:
                self._work.clear()
        # Leases first: a run that goes on loses its key, while an answer that is owed can wait.
        for mine in held:
            if not self._store.renew(mine, self._terms):
                self._lost(mine)
        for mine, answer in owed:
            self._pay(mine, answer)
        if time.monotonic() - self._swept >= SWEEP_EVERY_S:
            self._sweep()

    def _pay(self, mine: Mine, answer: StoredAnswer | Unkept) -> None:
        kept = self._store.keep(mine, answer, self._terms)
        with self._lock:
            self._owed.pop(mine.token, None)
        self._counts.add("stored" if kept else "lease_lost")

    def _lost(self, mine: Mine) -> None:
        with self._lock:
            if self._held.pop(mine.token, None) is None:
                return  # It ended meanwhile.
        log.warning("idempotency_lease_lost", extra={"key": mine.slot.key, "attempt": mine.attempt})

    def _sweep(self) -> None:
        for _ in range(SWEEP_BATCHES_MAX):
            if self._store.sweep(SWEEP_BATCH) < SWEEP_BATCH:
                self._swept = time.monotonic()
                return
