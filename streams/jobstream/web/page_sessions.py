"""Sessions of the pages: a signed cookie that names the token, and a token of its own per form.

A session holds nothing but which token began it and until when; what that token may do is looked
up at each request, so that a revoked one ends its sessions. Pure but for the clock handed in.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
from dataclasses import dataclass
from typing import Any

LASTS_S = 12 * 3600.0
"""How long a session lasts; then one signs in anew."""
_CHARS_MAX = 2_400
_SEALED_CHARS_MAX = 4_000


@dataclass(frozen=True, slots=True)
class Session:
    """Who is signed in."""

    token_id: str
    """Empty for a caller of the loopback without tokens; of a provider's, what it said of them."""
    until_s: float
    """Seconds since the epoch."""
    nonce: str


class Sessions:
    """Makes and reads cookies with one key. Immutable."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def begin(self, token_id: str, now_s: float, lasts_s: float = LASTS_S) -> str:
        """The cookie's value for somebody who signs in now."""
        told = [token_id, round(now_s + lasts_s), secrets.token_hex(8)]
        body = base64.urlsafe_b64encode(json.dumps(told).encode()).decode().rstrip("=")
        return f"{body}.{self._sign('session', body)}"

    def read(self, cookie: str, now_s: float) -> Session | None:
        """The session of a cookie; None for one that is not ours, was changed or is over."""
        body, _, signature = cookie.partition(".")
        if len(cookie) > _CHARS_MAX or not cookie.isascii():
            return None
        if not hmac.compare_digest(self._sign("session", body), signature):
            return None
        token_id, until_s, nonce = json.loads(
            base64.urlsafe_b64decode(body + "=" * (-len(body) % 4))
        )
        return Session(token_id, until_s, nonce) if now_s < until_s else None

    def seal(self, purpose: str, told: object, until_s: float) -> str:
        """A text for a cookie that can be read, and not changed, or used for another purpose."""
        body = base64.urlsafe_b64encode(json.dumps([told, until_s]).encode()).decode().rstrip("=")
        return f"{body}.{self._sign(purpose, body)}"

    def unseal(self, purpose: str, cookie: str, now_s: float) -> tuple[Any, float] | None:
        """What was sealed, and until when it holds; None for what is not ours or is over."""
        body, _, signature = cookie.partition(".")
        if len(cookie) > _SEALED_CHARS_MAX or not cookie.isascii():
            return None
        if not hmac.compare_digest(self._sign(purpose, body), signature):
            return None
        told, until_s = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
        return (told, until_s) if now_s < until_s else None

    def derive(self, purpose: str, of: str) -> str:
        """A secret made of a text that others may know; only who has the key can make it."""
        return self._sign(f"derive {purpose}", of)

    def form_token(self, session: Session) -> str:
        """What each form of the session carries, so that no other site can post it."""
        return self._sign("form", f"{session.token_id}:{session.until_s}:{session.nonce}")

    def is_form_token(self, session: Session, given: str) -> bool:
        """Whether a form came from a page of this session."""
        return given.isascii() and hmac.compare_digest(self.form_token(session), given)

    def _sign(self, what: str, text: str) -> str:
        return hmac.new(self._key, f"{what}:{text}".encode(), hashlib.sha256).hexdigest()
