"""Errors of a service that uses jobstream at the wrong time.

ServiceError
├── ServiceNotStarted   asked before the service has started, or one that was given no jobstream
└── ServiceClosed       asked after the service has shut down

Both are errors of a program: a repeat gets the same answer. Nothing was enqueued.
"""

from __future__ import annotations

from jobstream.errors import JobstreamError


class ServiceError(JobstreamError, RuntimeError):
    """Base of every error raised by `jobstream.services`."""


class ServiceNotStarted(ServiceError):
    """The service has not started yet, or was not given jobstream; the message says the fix."""


class ServiceClosed(ServiceError):
    """The service has shut down; the message says what still ran."""
