"""Idempotency keys for any HTTP service: a request that is repeated is carried out once.

`jobstream.web.IdempotencyMiddleware` is for ASGI, `WsgiIdempotency` for WSGI. Both need a store:
`jobstream.sql.SqlKeyStore`, or `MemoryKeyStore` for tests. Nothing here needs Kafka.
"""

from __future__ import annotations

from jobstream.idempotency.errors import IdempotencyError, StoreAway, StoreNotReady
from jobstream.idempotency.key_store_port import KeyStore
from jobstream.idempotency.memory_keys import MemoryKeyStore
from jobstream.idempotency.middleware_options import KeyOptions, outcome_is_kept
from jobstream.idempotency.wsgi_keys import WsgiIdempotency

__all__ = [
    "IdempotencyError",
    "KeyOptions",
    "KeyStore",
    "MemoryKeyStore",
    "StoreAway",
    "StoreNotReady",
    "WsgiIdempotency",
    "outcome_is_kept",
]
