"""Errors of idempotency keys.

JobstreamError
└── IdempotencyError
    ├── StoreAway       the store did not answer or is full: may be tried again
    └── StoreNotReady   the store's table is not there or has another form: see the message

A request that is refused is no error here: it gets a problem document.
"""

from __future__ import annotations

from jobstream.errors import ConfigError, JobstreamError


class IdempotencyError(JobstreamError):
    """Base of every error raised by `jobstream.idempotency`."""


class StoreAway(IdempotencyError):
    """The store of keys did not answer, or takes no more; the same call may succeed later."""


class StoreNotReady(IdempotencyError, ConfigError):
    """The store can't be used as it is; the message says which call or command mends that."""
