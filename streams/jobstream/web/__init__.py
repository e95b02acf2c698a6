"""The HTTP side of an app: an API and pages, as one ASGI application. Needs the extra `web`.

`jobstream.web.asgi` makes the application; `jobstream web` serves it. It decides nothing about
jobs: what it shows comes from `answers`, and what it does is done there, too.

`IdempotencyMiddleware` is for any ASGI application, and needs no extra.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jobstream.idempotency.asgi_keys import IdempotencyMiddleware
    from jobstream.web.application import asgi

__all__ = ["IdempotencyMiddleware", "asgi"]


def __getattr__(name: str) -> Any:  # noqa: ANN401 - what a module has
    """Load a name at its first use. Raises ConfigError where what it needs is not installed."""
    if name == "IdempotencyMiddleware":
        from jobstream.idempotency.asgi_keys import IdempotencyMiddleware  # noqa: PLC0415 - lazy

        return IdempotencyMiddleware
    if name != "asgi":
        raise AttributeError(name)
    try:
        from jobstream.web.application import asgi as found  # noqa: PLC0415 - needs the extra
    except ImportError as error:
        from jobstream.errors import ConfigError  # noqa: PLC0415 - on failure only

        message = f"jobstream.web needs the extra: pip install 'jobstream[web]' ({error})"
        raise ConfigError(message) from error
    return found
