"""A store of idempotency keys under test: in memory or in a database, called or awaited."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import Engine, create_engine, update

from jobstream.idempotency import KeyStore
from jobstream.idempotency.key_states import Begun, KeySlot, KeyTerms, Mine, Unkept
from jobstream.idempotency.stored_answer import StoredAnswer
from jobstream.sql import SqlKeyStore, create_tables
from jobstream.sql.schema import idempotency_keys as table

if TYPE_CHECKING:
    from collections.abc import Iterator

# Far longer than a test takes on a busy machine: stores in a database go by its own clock.
TERMS = KeyTerms(lease_ms=3_600_000, keep_ms=86_400_000)
LOCK_S = 60.0
SLOT = KeySlot("me", "k")
ANSWER = StoredAnswer(201, ((b"x-a", b"1"), (b"x-a", b"\xe9"), (b"etag", b"e")), b"\x00body\xff")


@dataclass
class Kept:
    """A store, and a way to let its clock go on."""

    store: KeyStore
    passes: Callable[[int], None]

    def take(self, slot: KeySlot = SLOT, digest: str = "d", terms: KeyTerms = TERMS) -> Mine:
        begun = self.store.begin(slot, digest, terms)
        assert isinstance(begun, Mine)
        return begun


class Awaited:
    """A store as an event loop calls it, for a test that has none: the loop is a thread's."""

    blocks = True

    def __init__(self, url: str) -> None:
        self._store = SqlKeyStore(url)
        assert self._store.awaits
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.renew, self.release = self._store.renew, self._store.release
        self.sweep, self.check = self._store.sweep, self._store.check

    def begin(self, slot: KeySlot, digest: str, terms: KeyTerms) -> Begun:
        coroutine = self._store.abegin(slot, digest, terms)
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(60)

    def keep(self, mine: Mine, answer: StoredAnswer | Unkept, terms: KeyTerms) -> bool:
        coroutine = self._store.akeep(mine, answer, terms)
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(60)

    def close(self) -> None:
        self._store.close()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(60)
        self._loop.close()


@dataclass
class KeptInSql(Kept):
    """The same in a database."""

    engine: Engine


@contextmanager
def in_sql(url: str, *, awaited: bool = False) -> Iterator[KeptInSql]:
    # SQLite's lock is not given in turns: among many threads one may wait for long.
    wait = {"timeout": LOCK_S} if url.startswith("sqlite") else {}
    engine = create_engine(url.replace("postgresql:", "postgresql+psycopg:"), connect_args=wait)
    create_tables(engine)
    with engine.begin() as connection:
        connection.execute(table.delete())

    def passes(ms: int) -> None:
        with engine.begin() as connection:
            earlier = {"lease_ms": table.c.lease_ms - ms, "expires_ms": table.c.expires_ms - ms}
            connection.execute(update(table).values(**earlier))

    store = Awaited(url) if awaited else SqlKeyStore(engine)
    try:
        yield KeptInSql(store, passes, engine)
    finally:
        store.close()
        engine.dispose()
