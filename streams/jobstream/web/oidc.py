"""OpenID Connect: who a provider's token is for, and the sign-in by code. Needs the extra `oidc`.

The library checks signatures and claims. Ours is what it is told to demand, where keys come from,
and what a claim means here.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import logging
import re
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import jwt
from jwt.exceptions import PyJWTError

from jobstream.web.callers import Caller, TokenRole
from jobstream.web.oidc_keys import KeyRing
from jobstream.web.oidc_provider import Provider, ProviderAway
from jobstream.web.problems import AWAY_RETRY_S, Problem, retry_after
from jobstream_processors.background import aside

if TYPE_CHECKING:
    from jobstream.web.oidc_options import OidcOptions

log = logging.getLogger("jobstream.web")

TOKEN_CHARS_MAX = 16_384
NAME_CHARS_MAX = 100
ADDRESSES_S = 3_600.0
SESSION_S = 3_600.0
"""A role that the provider takes away is gone here after that time."""
PREFIX = "oidc:"
UNSIGNED = "it is no signed token (JWT)"
NO_KEY = "no key of the provider's fits it"
_SHAPE = re.compile(r"[\w-]+\.[\w-]+\.[\w-]*", re.ASCII)


class Oidc:
    """One provider. Used on one event loop; what blocks goes to a thread."""

    def __init__(self, options: OidcOptions) -> None:
        self.options = options
        self._provider = Provider(options)
        self._ring = KeyRing()
        self._addresses: dict[str, str] = {}
        self._asked_s = 0.0
        self._fetching = asyncio.Lock()

    def is_ours(self, token: str) -> bool:
        """Whether a bearer token looks like one of the provider's."""
        return bool(self.options.audience) and _SHAPE.fullmatch(token) is not None

    async def ready_for(self, token: str) -> None:
        """Fetch keys where this token needs newer ones; two calls of the provider at most.

        Never raises: without keys the token is refused, with the reason.
        """
        head = _header(token)
        if head is None or head.get("alg") not in self.options.algorithms:
            return
        key_id = _key_id(head)
        is_coming = self._fetching.locked() and not self._ring.knows(key_id)
        if not is_coming and not self._ring.wants_fetch(key_id):
            return
        async with self._fetching:
            if self._ring.wants_fetch(key_id):
                await self._fetch()

    def bearer(self, token: str) -> Caller:
        """Who may use the API with this token; raises Problem."""
        claims = self._claims(token, self.options.audience)
        return self._caller(claims)

    async def begins_at(self, state: str, nonce: str, verifier: str, back: str) -> str:
        """Where a browser is sent to sign in; raises ProviderAway."""
        asked = {
            "response_type": "code",
            "client_id": self.options.client_id,
            "redirect_uri": back,
            "scope": "openid profile email",
            "state": state,
            "nonce": nonce,
            "code_challenge": challenge_of(verifier),
            "code_challenge_method": "S256",
        }
        address = (await self._known())["authorization_endpoint"]
        return f"{address}{'&' if '?' in address else '?'}{urlencode(asked)}"

    async def ends_with(self, code: str, nonce: str, verifier: str, back: str) -> Caller:
        """Who signed in; raises Problem, CodeRefused and ProviderAway."""
        address = (await self._known())["token_endpoint"]
        given = await aside("jobstream-web", self._provider.tokens, address, code, verifier, back)
        token = given.get("id_token")
        if not isinstance(token, str):
            message = "the provider gave no id token: the client has to have the scope openid"
            raise refusal(message)
        await self.ready_for(token)
        claims = self._claims(token, self.options.client_id)
        if not hmac.compare_digest(str(claims.get("nonce", "")).encode(), nonce.encode()):
            message = "the id token is not of this sign-in (nonce)"
            raise refusal(message)
        if claims.get("azp", self.options.client_id) != self.options.client_id:
            message = "the id token was given to another client (azp)"
            raise refusal(message)
        return self._caller(claims)

    def session_id(self, caller: Caller) -> str:
        """What a session's cookie says of who signed in."""
        told = [self.options.issuer, caller.name, sorted(caller.roles)]
        return PREFIX + json.dumps(told, ensure_ascii=False, separators=(",", ":"))

    def holder(self, session_id: str) -> Caller | None:
        """Who that is; None for a session of another provider."""
        try:
            issuer, name, roles = json.loads(session_id.removeprefix(PREFIX))
            held = frozenset(map(TokenRole, roles))
        except (ValueError, TypeError):
            return None
        if issuer != self.options.issuer:
            return None
        return Caller(name, held, token_id=name)

    def _claims(self, token: str, audience: str) -> dict[str, Any]:
        """The claims of a token that passed every check; raises Problem."""
        head = _header(token)
        if head is None:
            raise refusal(UNSIGNED)
        algorithm = head.get("alg")
        if algorithm not in self.options.algorithms:
            message = f"its algorithm {algorithm!r:.40} is not taken here"
            raise refusal(message)
        if not self._ring.is_usable:
            message = f"the keys of {self.options.issuer} are not known: it does not answer"
            raise Problem(503, "provider-away", message, headers=retry_after(AWAY_RETRY_S))
        key = self._ring.key(_key_id(head), algorithm)
        if key is None:
            raise refusal(NO_KEY)
        try:
            claims: dict[str, Any] = jwt.decode(
                token,
                key,
                algorithms=[algorithm],
                audience=audience,
                issuer=self.options.issuer,
                leeway=self.options.leeway_s,
                options={"require": ["exp", "iat", "iss", "aud", "sub"]},
            )
        except (PyJWTError, ValueError, TypeError, OverflowError) as error:
            raise refusal(str(error)[:NAME_CHARS_MAX]) from error
        return claims

    def _caller(self, claims: dict[str, Any]) -> Caller:
        # A claim may be named by an address, whose dots lead nowhere.
        value: Any = claims.get(self.options.roles_claim, claims)
        for part in self.options.roles_claim.split(".") if value is claims else ():
            value = value.get(part) if isinstance(value, dict) else None
        given = value.split() if isinstance(value, str) else value
        named = [each for each in given if isinstance(each, str)] if isinstance(given, list) else []
        roles = frozenset(self.options.roles[each] for each in named if each in self.options.roles)
        name = PREFIX + str(claims.get(self.options.name_claim) or claims["sub"])
        if not roles:
            message = (
                f"{name[:NAME_CHARS_MAX]!r} has no role here: none of its claim "
                f"{self.options.roles_claim!r} is given one (--oidc-role)"
            )
            raise Problem(403, "role", message)
        return Caller(name[:NAME_CHARS_MAX], roles, token_id=f"{PREFIX}{claims['sub']}")

    async def _fetch(self) -> None:
        self._ring.trying()
        try:
            address = (await self._known())["jwks_uri"]
            self._ring.take(await aside("jobstream-web", self._provider.keys, address))
        except ProviderAway as error:
            log.warning("oidc_keys_not_fetched", extra={"reason": str(error)})

    async def _known(self) -> dict[str, str]:
        """The provider's addresses; raises ProviderAway."""
        if not self._addresses or time.monotonic() - self._asked_s > ADDRESSES_S:
            self._addresses = await aside("jobstream-web", self._provider.discover)
            self._asked_s = time.monotonic()
        return self._addresses


def challenge_of(verifier: str) -> str:
    """What the provider is shown of the verifier first (RFC 7636)."""
    digest = hashlib.sha256(verifier.encode()).digest()
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")


def _header(token: str) -> dict[str, Any] | None:
    if len(token) > TOKEN_CHARS_MAX or _SHAPE.fullmatch(token) is None:
        return None
    try:
        return jwt.get_unverified_header(token)
    except (PyJWTError, ValueError, RecursionError):
        return None


def _key_id(head: dict[str, Any]) -> str | None:
    found = head.get("kid")
    return found if isinstance(found, str) else None


def refusal(why: str) -> Problem:
    """What a request with such a token is answered."""
    return Problem(
        401,
        "token",
        f"the provider's token is refused: {why}",
        headers={"WWW-Authenticate": 'Bearer realm="jobstream", error="invalid_token"'},
    )
