"""What a store of keys must do. `MemoryKeyStore` and `jobstream.sql.SqlKeyStore` are two."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from jobstream.idempotency.key_states import Begun, KeySlot, KeyTerms, Mine, Unkept
    from jobstream.idempotency.stored_answer import StoredAnswer


class KeyStore(Protocol):
    """A table of keys, shared by all processes of a service. Any thread may call it.

    Its own clock decides when a lease or an answer is over, so clocks of replicas may differ. Each
    call is one atomic step. A store that has coroutines `abegin` and `akeep`, and says so by a
    true `awaits`, is awaited by the ASGI middleware in their place. A call that took too long is
    not cancelled: a key that it took late is given back. Every call raises StoreAway where the
    store can't be reached, and StoreNotReady where its table is missing.
    """

    @property
    def blocks(self) -> bool:
        """Whether calls wait for input and output, so that an event loop must not make them."""

    def begin(self, slot: KeySlot, digest: str, terms: KeyTerms) -> Begun:
        """Take the key for a request with that digest, or tell what stands in the way.

        Of any number of calls at once, one gets `Mine`. A key is free if it was never used, if
        what was kept has expired, or, for the same digest, if its run gave up or its lease is over.
        """

    def renew(self, mine: Mine, terms: KeyTerms) -> bool:
        """Let the lease begin anew; False if another run has the key by now, or this one ended.

        It comes from another thread than the end: a renewal that is late must not bring back what
        was released, or the client's repeat is refused for a whole lease.
        """

    def keep(self, mine: Mine, answer: StoredAnswer | Unkept, terms: KeyTerms) -> bool:
        """Remember the answer; False, and nothing changed, if another run has the key by now.

        A lease that is over does no harm as long as no other run took the key.
        """

    def release(self, mine: Mine) -> bool:
        """End the run without an answer: the same request may run again; False as in `keep`."""

    def sweep(self, limit: int = 1_000) -> int:
        """Delete what has expired, `limit` keys at most; returns how many it deleted."""
