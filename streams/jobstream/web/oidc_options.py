"""Which identity provider is trusted for what; checked before anything is served."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from jobstream.errors import ConfigError
from jobstream.web.callers import TokenRole

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA")
"""Signatures by a key pair alone: with a shared secret, who can check a token can make one."""


@dataclass(frozen=True, slots=True)
class OidcOptions:
    """An OpenID Connect provider. Raises ConfigError for what can't be right."""

    issuer: str
    """As its tokens have it in `iss`, by HTTPS, or HTTP on this machine's loopback."""
    audience: str = ""
    """What `aud` of tokens for the API holds; empty: the API takes no tokens of the provider."""
    client_id: str = ""
    """For signing in to the pages; empty: nobody signs in by the provider."""
    client_secret: str = field(default="", repr=False)
    """Of a confidential client; a public one needs none, as each sign-in proves itself (PKCE)."""
    roles: Mapping[str, TokenRole] = field(default_factory=dict)
    """Value of the claim → role here. Other values are ignored."""
    roles_claim: str = "roles"
    """Dots lead into it, as in `realm_access.roles`. It has a list, or words in a text."""
    name_claim: str = "sub"
    """Who acts, in the audit."""
    algorithms: tuple[str, ...] = ("RS256", "PS256", "ES256", "EdDSA")
    leeway_s: float = 30.0
    """How far the provider's clock and ours may be apart."""
    timeout_s: float = 5.0
    """How long a request to the provider may take."""

    def __post_init__(self) -> None:
        """Check them."""
        if not is_safe(self.issuer):
            message = (
                f"issuer {self.issuer!r:.200}: give an https:// address; http:// is for 127.0.0.1"
            )
            raise ConfigError(message)
        if not (self.audience or self.client_id):
            message = "give an audience, for the API, or a client id, for the pages, or both"
            raise ConfigError(message)
        if not self.roles:
            message = f"no value of the claim {self.roles_claim!r} is given a role: as in ops=admin"
            raise ConfigError(message)
        if unknown := [each for each in self.algorithms if each not in ALGORITHMS]:
            message = f"algorithm {unknown[0]!r:.50}: choose of {', '.join(ALGORITHMS)}"
            raise ConfigError(message)


def is_safe(url: str) -> bool:
    """Whether an address is HTTPS, or HTTP on the loopback."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        return False
    if parts.scheme == "https":
        return bool(host)
    if parts.scheme != "http":
        return False
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def read_roles(given: tuple[str, ...]) -> dict[str, TokenRole]:
    """Of texts as in `ops=admin`; raises ConfigError."""
    found: dict[str, TokenRole] = {}
    for each in given:
        value, _, role = each.rpartition("=")
        if not value or role not in set(TokenRole):
            message = f"{each!r:.100}: give VALUE=ROLE, with one of {', '.join(TokenRole)}"
            raise ConfigError(message)
        found[value] = TokenRole(role)
    return found
