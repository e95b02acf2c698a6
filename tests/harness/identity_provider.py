"""A small OpenID Connect provider on the loopback: real HTTP, real keys, and lies on request."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import threading
import time
from collections import Counter
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlencode, urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import RSAAlgorithm

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

CLIENT, SECRET, AUDIENCE = "jobs-pages", "s3cr:t/+", "jobs-api"


class IdentityProvider:
    """Its keys, its user, and how often each of its addresses was asked."""

    def __init__(self) -> None:
        self.issuer = ""
        self.user: dict[str, Any] = {"sub": "u-17", "roles": ["ops"], "email": "ann@example.com"}
        self.asked: Counter[str] = Counter()
        self.is_away = self.is_babbling = False
        self.lies: dict[str, Any] = {}
        """Claims of id tokens that are other than they should be."""
        self.issuer_said = ""
        """What discovery says instead of the issuer."""
        self._codes: dict[str, dict[str, str]] = {}
        self._keys: dict[str, rsa.RSAPrivateKey] = {}
        self.rotate()

    def rotate(self) -> str:
        """Sign with a new key, and publish that alone; its id."""
        self.key_id = secrets.token_hex(4)
        self._keys = {self.key_id: rsa.generate_private_key(65_537, 2_048)}
        return self.key_id

    @property
    def public_pem(self) -> bytes:
        """The public key as a text, which anybody may have."""
        key = self._keys[self.key_id].public_key()
        return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)

    def token(self, *, key_id: str | None = None, **claims: Any) -> str:  # noqa: ANN401 - any claim
        """A signed token for the API; a claim that is None is left out."""
        now = int(time.time())
        told = {
            "iss": self.issuer, "aud": AUDIENCE, "iat": now, "exp": now + 300,
            **self.user, **claims,
        }  # fmt: skip
        told = {name: value for name, value in told.items() if value is not None}
        headers = {"kid": self.key_id if key_id is None else key_id}
        return jwt.encode(told, self._keys[self.key_id], "RS256", headers)

    def keys(self) -> dict[str, Any]:
        """What `jwks_uri` answers."""
        return {
            "keys": [
                {**json.loads(RSAAlgorithm.to_jwk(key.public_key())), "kid": name, "use": "sig",
                 "alg": "RS256"}
                for name, key in self._keys.items()
            ]
        }  # fmt: skip

    def authorize(self, query: Mapping[str, str]) -> str:
        """Where the browser goes after its user has agreed."""
        assert query["code_challenge_method"] == "S256"
        code = secrets.token_urlsafe(8)
        self._codes[code] = dict(query)
        told = {"code": code, "state": query["state"], "iss": self.issuer}
        return f"{query['redirect_uri']}?{urlencode(told)}"

    def exchange(self, form: Mapping[str, str], authorization: str) -> tuple[int, dict[str, Any]]:
        """The tokens for a code; once, for its client, its address and its verifier."""
        begun = self._codes.pop(form.get("code", ""), None)
        basic = base64.b64encode(f"{CLIENT}:s3cr%3At%2F%2B".encode()).decode()
        if authorization != f"Basic {basic}":
            return 401, {"error": "invalid_client"}
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).decode().rstrip("=")
        if (
            begun is None
            or begun["code_challenge"] != challenge
            or begun["redirect_uri"] != form["redirect_uri"]
        ):
            return 400, {"error": "invalid_grant"}
        claims = {"aud": CLIENT, "nonce": begun["nonce"], **self.lies}
        return 200, {"id_token": self.token(**claims), "token_type": "Bearer"}


@contextmanager
def identity_provider() -> Iterator[IdentityProvider]:
    """The provider, which answers until the block ends."""
    provider = IdentityProvider()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            provider.asked[parts.path] += 1
            if provider.is_babbling:
                self.wfile.write(b"hello\r\n\r\n")
            elif provider.is_away:
                self._answer(503, {})
            elif parts.path == "/.well-known/openid-configuration":
                self._answer(200, {
                    "issuer": provider.issuer_said or provider.issuer,
                    "jwks_uri": f"{provider.issuer}/keys",
                    "authorization_endpoint": f"{provider.issuer}/authorize",
                    "token_endpoint": f"{provider.issuer}/token",
                })  # fmt: skip
            elif parts.path == "/keys":
                self._answer(200, provider.keys())
            elif parts.path == "/authorize":
                query = {name: values[0] for name, values in parse_qs(parts.query).items()}
                self.send_response(302)
                self.send_header("Location", provider.authorize(query))
                self.end_headers()
            else:
                self._answer(404, {})

        def do_POST(self) -> None:
            provider.asked[self.path] += 1
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            form = {name: values[0] for name, values in parse_qs(body).items()}
            self._answer(*provider.exchange(form, self.headers.get("Authorization", "")))

        def _answer(self, status: int, document: dict[str, Any]) -> None:
            body = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    provider.issuer = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield provider
    finally:
        server.shutdown()
        thread.join(10)
        server.server_close()
