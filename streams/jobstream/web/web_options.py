"""The bounds and choices of one application over HTTP, with their defaults, in one place."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field

from jobstream.web.oidc_options import OidcOptions
from jobstream.web.request_parts import BODY_BYTES_MAX


@dataclass(frozen=True, slots=True)
class WebOptions:
    """How an application over HTTP behaves."""

    prefix: str = ""
    """The path that it is reached under, without a slash at its end."""
    open_to_loopback: bool = False
    """Whether callers of this machine need no token while there is none."""
    hosts: tuple[str, ...] = ()
    """The only names under which it is reached; empty for all where there are tokens."""
    body_bytes_max: int = BODY_BYTES_MAX
    rate_per_s: float = 500.0
    """Requests a second of one token."""
    rate_burst: float = 1_000.0
    threads_max: int = 32
    """Requests that read or act at once; more wait."""
    wait_s_max: float = 5.0
    """How long they wait."""
    waiters_max: int = 500
    """Requests that wait for the end of a job at once."""
    subscribers_max: int = 100
    """Streams of changes at once."""
    is_secure: bool = False
    """Whether it is reached by HTTPS alone: cookies are then kept from plain HTTP."""
    oidc: OidcOptions | None = None
    """The identity provider that is trusted beside tokens; needs the extra `oidc`."""
    spare_key: bytes = field(default_factory=lambda: secrets.token_bytes(32), repr=False)
    """Signs sessions while there is no file of tokens."""
