"""An HTTP answer that can be given again, and which of its headers are kept. Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Header = tuple[bytes, bytes]

NOT_REPEATED = frozenset({
    # Of one connection, or made anew by the server for each answer.
    b"connection", b"keep-alive", b"proxy-connection", b"trailer", b"transfer-encoding",
    b"upgrade", b"date", b"server", b"content-length", b"age",
    # Secrets of a session, which have no place in a table.
    b"set-cookie", b"set-cookie2", b"authorization", b"proxy-authenticate", b"www-authenticate",
    # They name one request, and the repeat is another.
    b"x-request-id", b"x-correlation-id", b"traceparent", b"tracestate",
})  # fmt: skip
"""Headers that a repeated answer does not have, in lower case."""
BODYLESS = frozenset({204, 304})
"""Answers without a body, which have no length."""


@dataclass(frozen=True, slots=True)
class StoredAnswer:
    """Status, headers and body of an answer."""

    status: int
    headers: tuple[Header, ...]
    body: bytes

    @property
    def size(self) -> int:
        """Bytes of body and headers."""
        return len(self.body) + size_of(self.headers)


def size_of(headers: Iterable[Sequence[bytes]]) -> int:
    """Bytes of the names and values."""
    return sum(len(name) + len(value) for name, value in headers)


def repeatable(headers: Iterable[Sequence[bytes]]) -> tuple[Header, ...]:
    """The headers that a repeat may have, in their order."""
    pairs = ((bytes(name), bytes(value)) for name, value in headers)
    return tuple((name, value) for name, value in pairs if name.lower() not in NOT_REPEATED)


def headers_text(headers: Iterable[Header]) -> str:
    """Headers as JSON, for a store; `headers_of` reads it back byte for byte."""
    return json.dumps(
        [(name.decode("latin-1"), value.decode("latin-1")) for name, value in headers]
    )


def headers_of(text: str) -> tuple[Header, ...]:
    """The headers of such a text."""
    return tuple(
        (name.encode("latin-1"), value.encode("latin-1")) for name, value in json.loads(text)
    )
