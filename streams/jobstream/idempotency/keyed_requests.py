"""What both middlewares do around a request with a key: take the key, keep the answer, or give up.

It knows no ASGI and no WSGI, and blocks as long as the store does.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from jobstream.errors import ConfigError
from jobstream.idempotency import key_problems as problems
from jobstream.idempotency.errors import StoreAway
from jobstream.idempotency.key_header import KeyMalformed, key_of
from jobstream.idempotency.key_states import (
    Answered,
    InUse,
    KeySlot,
    Mine,
    NewerFormat,
    OtherRequest,
    Unkept,
)
from jobstream.idempotency.lease_thread import LeaseThread
from jobstream.idempotency.middleware_options import RequestRules
from jobstream.idempotency.request_counts import RequestCounts
from jobstream.idempotency.request_digest import by_credentials, caller_digest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from prometheus_client.registry import Collector

    from jobstream.idempotency.key_problems import KeyProblem
    from jobstream.idempotency.key_states import Begun
    from jobstream.idempotency.key_store_port import KeyStore
    from jobstream.idempotency.stored_answer import StoredAnswer

REPLAYED = "Idempotency-Replayed"
"""`true` on an answer that was given before."""
NOT_STORED = "Idempotency-Not-Stored"
"""On an answer that a repeat would not get again: the reason, `streamed` and so on."""
RUN = "jobstream.idempotency"
"""Where a handler finds its `Mine`: in the ASGI scope, or the WSGI environ."""

log = logging.getLogger("jobstream.idempotency")


class KeyedRequests:
    """The requests with a key that pass one middleware. Any thread may call it."""

    def __init__(self, store: KeyStore, options: Mapping[str, Any]) -> None:
        """Raises ConfigError for an option. Connects to nothing."""
        lacks = [
            name
            for name in ("begin", "renew", "keep", "release", "sweep", "blocks")
            if not hasattr(store, name)
        ]
        if lacks or isinstance(store, type):
            why = f"has no {lacks[0]!r}" if lacks else "is a class"
            message = f"store={store!r} {why}: give a SqlKeyStore or a MemoryKeyStore"
            raise ConfigError(message)
        self.store = store
        self.rules = RequestRules.of(options)
        self.counts = RequestCounts()
        self._leases = LeaseThread(store, self.rules.terms, self.counts)

    def asked(self, method: str, path: str, values: Sequence[bytes]) -> str | KeyProblem | None:
        """The key; None if the request has none and needs none; or why it is refused."""
        try:
            key = key_of(self.rules.header, values)
        except KeyMalformed as error:
            self.counts.add("refused")
            return problems.malformed(str(error))
        if key is None and self.rules.required(method, path):
            self.counts.add("refused")
            return problems.missing(self.rules.header)
        return key

    def slot(
        self,
        request: Any,  # noqa: ANN401 - a scope or an environ
        key: str,
        authorization: bytes | None,
        cookie: bytes | None,
    ) -> KeySlot:
        """Where the key of that request belongs; raises ConfigError for what `caller` returned."""
        service = self.rules.service
        if self.rules.caller is None:
            return KeySlot(caller_digest(by_credentials(authorization, cookie), service), key)
        caller = self.rules.caller(request)
        if not isinstance(caller, str | bytes):
            message = f"caller= returned {caller!r}: return a text that names who asks"
            raise ConfigError(message)
        return KeySlot(caller_digest(caller, service), key)

    def begin(self, slot: KeySlot, digest: str) -> Begun:
        """As the store's; a key that is taken is renewed from now on."""
        return self.begun(self.store.begin(slot, digest, self.rules.terms))

    def begun(self, begun: Begun) -> Begun:
        """The answer of the store, whose lease is renewed from now on if the key was taken."""
        if isinstance(begun, Mine):
            self._leases.hold(begun)
        return begun

    def drop(self, mine: Mine) -> None:
        """Renew the key's lease no more."""
        self._leases.drop(mine)

    def keep(self, mine: Mine, answer: StoredAnswer | Unkept) -> str:
        """Keep the answer; "" or why it is not stored. Raises nothing of the store's."""
        self._leases.drop(mine)
        try:
            kept = self.store.keep(mine, answer, self.rules.terms)
        except StoreAway as error:
            return self.owe(mine, answer, error)
        return self.kept(mine, answer, kept=kept)

    def kept(self, mine: Mine, answer: StoredAnswer | Unkept, *, kept: bool) -> str:
        """What the store said of the answer: "" or why it is not stored."""
        if not kept:
            self.counts.add("lease_lost")
            log.warning("idempotency_lease_lost", extra=_told(mine))
            return "lease-lost"
        if isinstance(answer, Unkept):
            self.counts.add("unkept")
            return answer.why
        self.counts.add("stored")
        return ""

    def owe(self, mine: Mine, answer: StoredAnswer | Unkept, error: BaseException) -> str:
        """The store is away: keep the answer once it is back; returns why it is not stored."""
        self.store_down(error, "keep")
        self._leases.owe(mine, answer)
        return "store-down"

    def release(self, mine: Mine) -> None:
        """The request ended without an answer to keep. Raises nothing of the store's."""
        self._leases.drop(mine)
        try:
            self.store.release(mine)
        except StoreAway as error:
            self.store_down(error, "release")
        else:
            self.counts.add("released")

    def store_down(self, error: BaseException, during: str) -> None:
        """Count and log it."""
        self.counts.add("store_down")
        log.warning("idempotency_store_down", extra={"reason": str(error), "during": during})

    def refusal(self, begun: Begun) -> KeyProblem | None:
        """The answer for what stands in the way; None for `Mine` and `Answered`."""
        match begun:
            case InUse():
                self.counts.add("conflict")
                return problems.in_use()
            case OtherRequest():
                self.counts.add("mismatch")
                return problems.reused(self.rules.header)
            case Unkept(status, why):
                self.counts.add("replayed")
                return problems.unkept(status, why)
            case NewerFormat():
                self.counts.add("refused")
                return problems.newer_format()
            case Answered():
                self.counts.add("replayed")
        return None

    def metrics(self) -> Collector:
        """The counts, for the registry of a service; raises ConfigError without the extra."""
        try:
            from jobstream.idempotency.request_metrics import KeysCollector  # noqa: PLC0415 - extra
        except ImportError as error:
            message = f"metrics() needs the extra: pip install 'jobstream[metrics]' ({error})"
            raise ConfigError(message) from error
        return KeysCollector(self.counts)

    def close(self) -> None:
        """Let the thread that renews leases end."""
        self._leases.close()


def _told(mine: Mine) -> dict[str, object]:
    return {"key": mine.slot.key, "attempt": mine.attempt}
