"""The provider over HTTP: what it says of itself, its keys, and tokens for a code. All bounded."""

from __future__ import annotations

import base64
import json
import time
from http.client import HTTPException
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError, URLError
from urllib.parse import quote, urlencode
from urllib.request import HTTPRedirectHandler, Request, build_opener

from jobstream.errors import JobstreamError
from jobstream.web.oidc_options import is_safe

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jobstream.web.oidc_options import OidcOptions

BYTES_MAX = 1_048_576
CHUNK_BYTES = 65_536
SAID_CHARS_MAX = 200


class ProviderAway(JobstreamError):
    """The provider does not answer, or not as one does; a later request may succeed."""


class CodeRefused(JobstreamError):
    """The provider gives no tokens for this code: the sign-in has to begin anew."""


class _NoRedirect(HTTPRedirectHandler):
    def redirect_request(self, *_: object) -> None:
        """A provider's addresses are those that it names, and no others."""


class Provider:
    """Asks it. Every call blocks, for three times the timeout at most. Safe in any thread."""

    def __init__(self, options: OidcOptions) -> None:
        self._options = options
        self._open = build_opener(_NoRedirect).open

    def discover(self) -> dict[str, str]:
        """The addresses that it names; raises ProviderAway."""
        issuer = self._options.issuer
        found = self._json(Request(f"{issuer.rstrip('/')}/.well-known/openid-configuration"))  # noqa: S310 - checked
        if found.get("issuer") != issuer:
            message = f"{issuer} says that it is {str(found.get('issuer'))[:SAID_CHARS_MAX]!r}"
            raise ProviderAway(message)
        needed = ["jwks_uri"]
        if self._options.client_id:
            needed += ["authorization_endpoint", "token_endpoint"]
        for name in needed:
            if not is_safe(str(found.get(name, ""))):
                message = f"{issuer} names no safe address for {name}"
                raise ProviderAway(message)
        return {name: str(found[name]) for name in needed}

    def keys(self, jwks_uri: str) -> dict[str, Any]:
        """Its keys as they are published; raises ProviderAway."""
        return self._json(Request(jwks_uri))  # noqa: S310 - checked by `discover`

    def tokens(self, token_endpoint: str, code: str, verifier: str, back: str) -> dict[str, Any]:
        """What it gives for a code; raises CodeRefused and ProviderAway."""
        options = self._options
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": back,
            "code_verifier": verifier,
        }
        headers = {"Accept": "application/json"}
        if options.client_secret:
            pair = f"{quote(options.client_id, safe='')}:{quote(options.client_secret, safe='')}"
            headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
        else:
            form["client_id"] = options.client_id
        request = Request(token_endpoint, urlencode(form).encode(), headers)  # noqa: S310 - as above
        try:
            return self._json(request)
        except _Refused as error:
            message = f"the provider refused the sign-in: {error}"
            raise CodeRefused(message) from error

    def _json(self, request: Request) -> dict[str, Any]:
        url = request.full_url
        try:
            try:
                with self._open(request, timeout=self._options.timeout_s) as answer:
                    body = self._body(url, answer)
            except HTTPError as error:
                with error:
                    said = _error_in(self._body(url, error))
                message = f"{url} answered {error.code}{said}"
                refused = error.code in {400, 401, 403}
                raise (_Refused if refused else ProviderAway)(message) from error
        except (URLError, HTTPException, OSError, ValueError) as error:
            message = f"{url} does not answer: {error}"
            raise ProviderAway(message) from error
        return _object(url, body)

    def _body(self, url: str, answer: Any) -> bytes:  # noqa: ANN401 - an answer, or an error that is one
        """All of it; raises ProviderAway for one that is too long or comes too slowly."""
        until_s = time.monotonic() + self._options.timeout_s
        body = bytearray()
        # What is there, and not a whole chunk: a trickle would be waited for as long as it lasts.
        while chunk := answer.read1(CHUNK_BYTES):
            body += chunk
            if len(body) > BYTES_MAX or time.monotonic() > until_s:
                message = f"{url} answers too much, or too slowly"
                raise ProviderAway(message)
        return bytes(body)


class _Refused(ProviderAway):
    """It answered, and said no."""


def _object(url: str, body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError) as error:
        message = f"{url} answered no JSON"
        raise ProviderAway(message) from error
    if not isinstance(found, dict):
        message = f"{url} answered no JSON object"
        raise ProviderAway(message)
    return found


def _error_in(body: bytes) -> str:
    try:
        told: Mapping[str, Any] = json.loads(body)
        return f": {str(told['error'])[:SAID_CHARS_MAX]}"
    except (ValueError, TypeError, KeyError, RecursionError):
        return ""
