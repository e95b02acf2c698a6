"""Idempotency keys in the service's own database: PostgreSQL or SQLite."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy.engine import Engine

from jobstream.errors import ConfigError
from jobstream.idempotency.key_states import (
    Answered,
    InUse,
    Mine,
    NewerFormat,
    OtherRequest,
    Unkept,
)
from jobstream.idempotency.run_token import new_token
from jobstream.idempotency.stored_answer import StoredAnswer, headers_of, headers_text
from jobstream.sql import key_statements as statements
from jobstream.sql.key_statements import ANSWERED, FORMAT, UNKEPT
from jobstream.sql.store_engine import SingleSteps, engine_for
from jobstream_processors.forked import tell_in_child

if TYPE_CHECKING:
    from jobstream.idempotency.key_states import Begun, KeySlot, KeyTerms
    from jobstream.sql.loop_steps import LoopSteps

DIALECTS = ("postgresql", "sqlite")
LOOKS_MAX = 5
"""A key may be swept between the try to take it and the look at it."""


class SqlKeyStore:
    """A store of keys in the table `jobstream_idempotency_keys`, which `create_tables` makes.

    `bind` is an engine of SQLAlchemy, which stays the caller's, or a URL: an engine of the store's
    own then, with bounds on every wait. By a URL of PostgreSQL the ASGI middleware awaits its
    answers on the event loop, with connections of the loop's own, up to eight; else it calls the
    store on threads, which costs more. Each call is one statement in a transaction of its own, and
    never part of one of the caller's. Connects with the first call. Raises ConfigError for another
    database, or an async engine: leases are renewed on a thread. SQLite is for replicas
    on one machine; `bind` as a URL switches its file to WAL.

    Expired keys are deleted as requests come; `sweep` does it at once. In a forked child the pool
    is made anew.
    """

    blocks = True
    """Its plain calls wait for the database."""

    def __init__(self, bind: Engine | str) -> None:
        engine = engine_for(bind) if isinstance(bind, str) else bind
        if not isinstance(engine, Engine):
            message = (
                f"{bind!r}: give a URL, or an engine of sqlalchemy.create_engine, in an async "
                "service, too: leases are renewed on a thread"
            )
            raise ConfigError(message)
        dialect = engine.dialect.name
        if dialect not in DIALECTS:
            message = f"{dialect}: keys are kept in PostgreSQL or SQLite"
            raise ConfigError(message)
        self._engine, self._is_own = engine, isinstance(bind, str)
        self._binary = engine.dialect.loaded_dbapi.Binary
        self._steps = SingleSteps(engine, is_own=self._is_own)
        ready = self._steps.prepared
        self._begin, self._look = ready(statements.begin(dialect)), ready(statements.look())
        self._renew, self._keep = ready(statements.renew()), ready(statements.keep())
        self._release = ready(statements.release())
        self._sweep = ready(statements.sweep(dialect))
        self._on_loop = _loop_steps(engine) if self._is_own else None
        tell_in_child(self)

    @property
    def awaits(self) -> bool:
        """Whether `abegin` and `akeep` are there: for PostgreSQL by a URL."""
        return self._on_loop is not None

    def forked(self) -> None:
        """In a forked child: the connections are the parent's, and stay open."""
        self._engine.dispose(close=False)
        if self._on_loop is not None:
            self._on_loop.forked()

    def close(self) -> None:
        """Close the connections of an engine of its own; the next call connects anew."""
        if self._is_own:
            self._engine.dispose()
        if self._on_loop is not None:
            self._on_loop.close()

    def check(self) -> None:
        """Look whether the table is there, as a service does at its start.

        Blocks. Raises StoreNotReady, which says how to make it, and StoreAway.
        """
        self._steps.rows(self._look, {"of_caller": "", "of_key": ""})

    def begin(self, slot: KeySlot, digest: str, terms: KeyTerms) -> Begun:
        """As `KeyStore.begin`."""
        place, own = _asked(slot, digest, terms)
        for _ in range(LOOKS_MAX):
            for (attempt,) in self._steps.rows(self._begin, own):
                return Mine(slot, own["of_token"], attempt)
            for row in self._steps.rows(self._look, place):
                return _known(row, digest)
        return InUse()

    async def abegin(self, slot: KeySlot, digest: str, terms: KeyTerms) -> Begun:
        """The same, awaited on an event loop; only where `awaits` says so."""
        assert self._on_loop is not None, "awaits is true"  # noqa: S101 - an invariant
        place, own = _asked(slot, digest, terms)
        for _ in range(LOOKS_MAX):
            for (attempt,) in await self._on_loop.rows(self._begin, own):
                return Mine(slot, own["of_token"], attempt)
            for row in await self._on_loop.rows(self._look, place):
                return _known(row, digest)
        return InUse()

    def renew(self, mine: Mine, terms: KeyTerms) -> bool:
        """As `KeyStore.renew`."""
        times = {"lease": terms.lease_ms, "keep": terms.running_ms}
        return self._steps.changed(self._renew, {**_own(mine), **times}) == 1

    def keep(self, mine: Mine, answer: StoredAnswer | Unkept, terms: KeyTerms) -> bool:
        """As `KeyStore.keep`."""
        return self._steps.changed(self._keep, self._told(mine, answer, terms)) == 1

    async def akeep(self, mine: Mine, answer: StoredAnswer | Unkept, terms: KeyTerms) -> bool:
        """The same, awaited on an event loop; only where `awaits` says so."""
        assert self._on_loop is not None, "awaits is true"  # noqa: S101 - an invariant
        return await self._on_loop.changed(self._keep, self._told(mine, answer, terms)) == 1

    def release(self, mine: Mine) -> bool:
        """As `KeyStore.release`."""
        return self._steps.changed(self._release, _own(mine)) == 1

    def sweep(self, limit: int = 1_000) -> int:
        """As `KeyStore.sweep`. Any number of processes may do it at once."""
        return self._steps.changed(self._sweep, {"limit": limit})

    def _told(self, mine: Mine, answer: StoredAnswer | Unkept, terms: KeyTerms) -> dict[str, Any]:
        what: dict[str, Any]
        if isinstance(answer, Unkept):
            what = {"to_state": UNKEPT, "to_headers": answer.why, "to_body": None}
        else:
            headers = headers_text(answer.headers)
            body = self._binary(answer.body)
            what = {"to_state": ANSWERED, "to_headers": headers, "to_body": body}
        return {**_own(mine), **what, "to_status": answer.status, "keep": terms.keep_ms}


def _loop_steps(engine: Engine) -> LoopSteps | None:
    if engine.dialect.name != "postgresql":
        return None
    from jobstream.sql.loop_steps import LoopSteps  # noqa: PLC0415 - needs PostgreSQL's driver

    return LoopSteps(engine)


def _asked(slot: KeySlot, digest: str, terms: KeyTerms) -> tuple[dict[str, Any], dict[str, Any]]:
    """The key's place, and what a new run of it writes there."""
    place = {"of_caller": slot.caller, "of_key": slot.key}
    times = {"lease": terms.lease_ms, "keep": terms.running_ms}
    return place, {**place, **times, "of_token": new_token(), "of_digest": digest}


def _own(mine: Mine) -> dict[str, Any]:
    return {"of_caller": mine.slot.caller, "of_key": mine.slot.key, "of_token": mine.token}


def _known(row: Any, digest: str) -> Begun:  # noqa: ANN401 - a row
    stored_format, stored_digest, state, status, headers, body = row
    if stored_format > FORMAT:
        return NewerFormat()
    if stored_digest != digest:
        return OtherRequest()
    if state == ANSWERED:
        return Answered(StoredAnswer(status, headers_of(headers), bytes(body)))
    if state == UNKEPT:
        return Unkept(status, headers)
    return InUse()
