"""Tokens: 256 random bits each, shown once, kept as a hash in a file that only its owner reads.

The hash is BLAKE2b without stretching: nobody guesses 256 random bits, so a slow hash would only
slow every request down. The file is replaced as a whole, and a server follows its changes.
"""

from __future__ import annotations

import fcntl
import hashlib
import hmac
import json
import logging
import os
import re
import secrets
import threading
import time
from collections.abc import Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from jobstream.errors import ConfigError
from jobstream.web.callers import Caller, TokenRole

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

log = logging.getLogger("jobstream.web")

FILE_BYTES_MAX = 4_000_000
TOKENS_MAX = 10_000
LOOK_S = 1.0
"""A server sees a change of the file within this time."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@-]{0,99}")
_TOKEN = re.compile(r"jst_([0-9a-f]{12})_([A-Za-z0-9_-]{43})")
_PERSON = b"jobstream-token"
_NO_HASH = "0" * 64


@dataclass(frozen=True, slots=True)
class TokenRecord:
    """A token as the file has it: everything but itself."""

    id: str
    name: str
    hash: str
    roles: tuple[TokenRole, ...]
    queues: tuple[str, ...]
    created: str

    def caller(self) -> Caller:
        """Who holds it."""
        return Caller(self.name, frozenset(self.roles), frozenset(self.queues), self.id)


@dataclass(frozen=True, slots=True)
class Tokens:
    """What the file holds. Immutable."""

    by_id: Mapping[str, TokenRecord]
    session_key: bytes
    """Signs the sessions of the pages; made anew with the file."""

    def caller(self, given: str) -> Caller | None:
        """Who holds this token; None for no token of ours. Takes as long for any of its form."""
        shape = _TOKEN.fullmatch(given)
        found = self.by_id.get(shape[1]) if shape else None
        hashed = hash_of(given)
        same = hmac.compare_digest(hashed, found.hash if found is not None else _NO_HASH)
        return found.caller() if same and found is not None else None


NONE = Tokens({}, b"")


def hash_of(token: str) -> str:
    """What the file keeps of a token."""
    given = token.encode("utf-8", "surrogatepass")
    return hashlib.blake2b(given, digest_size=32, person=_PERSON).hexdigest()


class TokenFile:
    """The file of one app's tokens. Safe in any thread and process."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._seen: tuple[int, int, int] | None = None
        self._looked_s = -LOOK_S
        self._tokens = NONE

    def add(self, name: str, roles: Collection[TokenRole], queues: Collection[str] = ()) -> str:
        """Add a token and return it: it can't be had again. Raises ConfigError."""
        if not _NAME.fullmatch(name):
            message = f"token name {name!r:.100}: letters, digits, '_', '.', '@', '-', up to 100"
            raise ConfigError(message)
        if not roles:
            message = f"token {name!r} has no role: give one of {', '.join(TokenRole)}"
            raise ConfigError(message)
        with self._changing() as tokens:
            if name in {each.name for each in tokens.by_id.values()}:
                message = f"there is a token {name!r} already: revoke it, or take another name"
                raise ConfigError(message)
            if len(tokens.by_id) >= TOKENS_MAX:
                message = f"{self.path} has {TOKENS_MAX} tokens already: revoke some"
                raise ConfigError(message)
            made_id = secrets.token_hex(6)
            token = f"jst_{made_id}_{secrets.token_urlsafe(32)}"
            now = datetime.now(UTC).isoformat(timespec="seconds")
            record = TokenRecord(
                made_id, name, hash_of(token), tuple(sorted(roles)), tuple(sorted(queues)), now
            )
            self._write(Tokens({**tokens.by_id, made_id: record}, tokens.session_key))
        return token

    def revoke(self, name: str) -> None:
        """Take a token out: no request with it passes any more. Raises ConfigError."""
        with self._changing() as tokens:
            left = {n: each for n, each in tokens.by_id.items() if each.name != name}
            if len(left) == len(tokens.by_id):
                there = ", ".join(sorted(each.name for each in left.values())) or "none"
                message = f"no token {name!r:.100}; there are: {there}"
                raise ConfigError(message)
            self._write(Tokens(left, tokens.session_key))

    def read(self) -> Tokens:
        """What the file holds now; none without a file. Raises ConfigError for a bad one."""
        try:
            with self.path.open("rb") as file:
                state = os.fstat(file.fileno())
                if state.st_mode & 0o077:
                    message = f"{self.path} can be read by others: chmod 600 {self.path}"
                    raise ConfigError(message)
                return _parsed(json.loads(file.read(FILE_BYTES_MAX)))
        except FileNotFoundError:
            return NONE
        except (OSError, ValueError, LookupError, TypeError) as error:
            if isinstance(error, ConfigError):
                raise
            message = f"{self.path} is no file of tokens: {error}; restore it, or delete it"
            raise ConfigError(message) from error

    def now(self) -> Tokens:
        """As `read`, but looks at most once a second, and keeps what it had of a bad file."""
        with self._lock:
            if time.monotonic() - self._looked_s < LOOK_S:
                return self._tokens
            self._looked_s = time.monotonic()
            seen = self._state()
            if seen == self._seen:
                return self._tokens
            try:
                self._tokens = self.read()
            except ConfigError as error:
                log.error("tokens_unread", extra={"reason": str(error)})  # noqa: TRY400 - it is no fault of ours
            else:
                if self._seen is not None:
                    log.info("tokens_changed", extra={"tokens": len(self._tokens.by_id)})
            self._seen = seen
            return self._tokens

    def _state(self) -> tuple[int, int, int]:
        try:
            found = self.path.stat()
        except OSError:
            return (0, 0, 0)
        return found.st_mtime_ns, found.st_ino, found.st_size

    @contextmanager
    def _changing(self) -> Iterator[Tokens]:
        """What the file holds, while no other process changes it."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            lock = os.open(self.path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            message = f"{self.path} can't be written: {error}; name another one with --tokens FILE"
            raise ConfigError(message) from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield self.read()
        finally:
            os.close(lock)

    def _write(self, tokens: Tokens) -> None:
        document = {
            "version": 1,
            "session_key": (tokens.session_key or secrets.token_bytes(32)).hex(),
            "tokens": [
                {
                    "id": each.id,
                    "name": each.name,
                    "hash": each.hash,
                    "roles": [str(role) for role in each.roles],
                    "queues": list(each.queues),
                    "created": each.created,
                }
                for each in tokens.by_id.values()
            ],
        }
        draft = self.path.with_suffix(f".{os.getpid()}.tmp")
        try:
            made = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(made, "w") as file:
                json.dump(document, file, indent=1)
                file.flush()
                os.fsync(file.fileno())
            draft.replace(self.path)
        except OSError as error:
            draft.unlink(missing_ok=True)
            message = f"{self.path} can't be written: {error}"
            raise ConfigError(message) from error


def _parsed(document: Any) -> Tokens:  # noqa: ANN401 - any JSON
    if document["version"] != 1:
        message = f"version {document['version']!r} is not 1, the one known here"
        raise ValueError(message)
    records = [
        TokenRecord(
            id=str(each["id"]),
            name=str(each["name"]),
            hash=str(each["hash"]),
            roles=tuple(TokenRole(role) for role in each["roles"]),
            queues=tuple(str(queue) for queue in each["queues"]),
            created=str(each["created"]),
        )
        for each in document["tokens"]
    ]
    return Tokens({each.id: each for each in records}, bytes.fromhex(document["session_key"]))
