"""Digests by which requests and callers are compared; what they are made of is not stored. Pure."""

from __future__ import annotations

from hashlib import blake2b


def request_digest(method: str, path: bytes, query: bytes, body: bytes) -> str:
    """The same for the same method, path, query and body, and for nothing else."""
    found = blake2b(digest_size=32, person=b"jobstream-req")
    for part in (method.encode(), path, query, body):
        found.update(len(part).to_bytes(8, "big"))
        found.update(part)
    return found.hexdigest()


def caller_digest(caller: str | bytes, service: str = "") -> str:
    """A name for the caller that tells nothing of it; one for each service that says its name."""
    told = caller.encode("utf-8", "surrogateescape") if isinstance(caller, str) else bytes(caller)
    salt = blake2b(service.encode(), digest_size=blake2b.SALT_SIZE).digest() if service else b""
    return blake2b(told, digest_size=16, person=b"jobstream-caller", salt=salt).hexdigest()


def by_credentials(authorization: bytes | None, cookie: bytes | None) -> bytes:
    """Who asks, where the service does not say: by `Authorization`, else by the cookies.

    Without the latter, browsers that a session cookie tells apart would share their keys, and one
    could get the answer of another.
    """
    if authorization is not None:
        return b"authorization\n" + authorization
    return b"" if cookie is None else b"cookie\n" + cookie
