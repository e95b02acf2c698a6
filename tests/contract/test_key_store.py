"""What every store of idempotency keys does: in memory, on SQLite and on PostgreSQL."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import Engine, create_engine, insert, update
from sqlalchemy.engine import make_url
from tests.harness.postgres import Postgres
from tests.harness.waiting import wait_until

from jobstream.errors import ConfigError
from jobstream.idempotency import KeyStore, MemoryKeyStore, StoreAway, StoreNotReady
from jobstream.idempotency.key_states import (
    Answered,
    Begun,
    InUse,
    KeySlot,
    KeyTerms,
    Mine,
    NewerFormat,
    OtherRequest,
    Unkept,
)
from jobstream.idempotency.stored_answer import StoredAnswer
from jobstream.sql import SqlKeyStore, create_tables, loop_steps
from jobstream.sql.key_statements import sweep
from jobstream.sql.schema import idempotency_keys as table
from jobstream.sql.store_engine import POOL, engine_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TERMS = KeyTerms(lease_ms=30_000, keep_ms=3_600_000)
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


@pytest.fixture(scope="module")
def postgres() -> Iterator[str]:
    with Postgres() as server:
        yield server.url


@contextmanager
def in_sql(url: str, *, awaited: bool = False) -> Iterator[KeptInSql]:
    engine = create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    create_tables(engine)
    with engine.begin() as connection:
        connection.execute(table.delete())

    def passes(ms: int) -> None:
        with engine.begin() as connection:
            earlier = {"lease_ms": table.c.lease_ms - ms, "expires_ms": table.c.expires_ms - ms}
            connection.execute(update(table).values(**earlier))

    store = Awaited(url) if awaited else SqlKeyStore(engine)
    yield KeptInSql(store, passes, engine)
    store.close()
    engine.dispose()


def url_of(request: pytest.FixtureRequest, folder: Path) -> str:
    is_file = request.param == "sqlite"
    return f"sqlite:///{folder}/k.db" if is_file else str(request.getfixturevalue("postgres"))


@pytest.fixture(params=["sqlite", "postgresql", "awaited"])
def in_tables(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[KeptInSql]:
    with in_sql(url_of(request, tmp_path), awaited=request.param == "awaited") as found:
        yield found


@pytest.fixture(params=["memory", "sqlite", "postgresql", "awaited"])
def kept(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Kept]:
    if request.param != "memory":
        with in_sql(url_of(request, tmp_path), awaited=request.param == "awaited") as found:
            yield found
        return
    now = [1_000_000.0]

    def passes(ms: int) -> None:
        now[0] += ms

    yield Kept(MemoryKeyStore(now_ms=lambda: now[0]), passes)


def test_one_run_at_a_time(kept: Kept) -> None:
    mine = kept.take()

    assert mine.attempt == 1
    assert kept.store.begin(SLOT, "d", TERMS) == InUse()
    assert kept.store.begin(SLOT, "other", TERMS) == OtherRequest()
    assert kept.take(KeySlot("you", "k")).attempt == 1
    assert kept.take(KeySlot("me", "l")).attempt == 1


def test_an_answer_is_given_back_byte_for_byte(kept: Kept) -> None:
    assert kept.store.keep(kept.take(), ANSWER, TERMS)

    assert kept.store.begin(SLOT, "d", TERMS) == Answered(ANSWER)
    assert kept.store.begin(SLOT, "other", TERMS) == OtherRequest()


def test_that_it_was_answered_is_remembered_without_the_answer(kept: Kept) -> None:
    assert kept.store.keep(kept.take(), Unkept(202, "streamed"), TERMS)

    assert kept.store.begin(SLOT, "d", TERMS) == Unkept(202, "streamed")


def test_a_released_key_runs_again_for_the_same_request_alone(kept: Kept) -> None:
    assert kept.store.release(kept.take())

    assert kept.store.begin(SLOT, "other", TERMS) == OtherRequest()
    assert kept.take().attempt == 2


def test_a_lease_that_is_over_frees_the_key_and_fences_its_run_off(kept: Kept) -> None:
    late = kept.take()
    kept.passes(TERMS.lease_ms - 1_000)
    assert kept.store.begin(SLOT, "d", TERMS) == InUse()
    kept.passes(1_001)
    assert kept.store.begin(SLOT, "other", TERMS) == OtherRequest()
    heir = kept.take()

    assert heir.attempt == 2
    assert not kept.store.renew(late, TERMS)
    assert not kept.store.release(late)
    assert not kept.store.keep(late, StoredAnswer(500, (), b"late"), TERMS)
    assert kept.store.keep(heir, ANSWER, TERMS)
    assert not kept.store.keep(late, StoredAnswer(500, (), b"late"), TERMS)
    assert kept.store.begin(SLOT, "d", TERMS) == Answered(ANSWER)


def test_a_late_run_that_has_no_heir_keeps_its_answer(kept: Kept) -> None:
    late = kept.take()
    kept.passes(TERMS.lease_ms + 1)

    assert kept.store.keep(late, ANSWER, TERMS)
    assert kept.store.begin(SLOT, "d", TERMS) == Answered(ANSWER)


def test_a_lease_is_renewed(kept: Kept) -> None:
    mine = kept.take()
    kept.passes(20_000)
    assert kept.store.renew(mine, TERMS)
    kept.passes(20_000)

    assert kept.store.begin(SLOT, "d", TERMS) == InUse()


def test_a_run_outlives_the_time_that_answers_are_kept(kept: Kept) -> None:
    short = KeyTerms(lease_ms=30_000, keep_ms=1_000)
    kept.take(terms=short)
    kept.passes(20_000)

    assert kept.store.begin(SLOT, "d", short) == InUse()


def test_what_expired_is_free_for_any_request(kept: Kept) -> None:
    kept.store.keep(kept.take(), ANSWER, TERMS)
    kept.passes(TERMS.keep_ms + 1)

    assert kept.take(digest="other").attempt == 1


def test_a_sweep_deletes_what_expired_and_no_more_than_it_may(kept: Kept) -> None:
    for number in range(5):
        kept.store.keep(kept.take(KeySlot("me", str(number))), ANSWER, TERMS)
    kept.passes(TERMS.keep_ms + 1)
    young = kept.take(KeySlot("me", "young"))

    assert [kept.store.sweep(3) for _ in range(3)] == [3, 2, 0]
    assert kept.store.renew(young, TERMS)


def test_of_many_threads_one_gets_the_key(kept: Kept) -> None:
    start = threading.Barrier(8)

    def take(_: int) -> list[object]:
        start.wait(60)
        return [kept.store.begin(KeySlot("me", str(n)), "d", TERMS) for n in range(20)]

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(take, range(8)))

    for begun in zip(*found, strict=True):
        assert sum(isinstance(each, Mine) for each in begun) == 1
        assert sum(isinstance(each, InUse) for each in begun) == 7


def test_a_row_of_a_newer_format_is_never_taken_for_what_it_is_not(in_tables: KeptInSql) -> None:
    newer = {
        "caller": "me", "key": "k", "format": 2, "digest": "d", "token": "t", "attempt": 1,
        "state": 0, "lease_ms": 0, "expires_ms": 2**53,
    }  # fmt: skip
    with in_tables.engine.begin() as connection:
        connection.execute(insert(table).values(**newer))

    assert in_tables.store.begin(SLOT, "d", TERMS) == NewerFormat()
    assert in_tables.store.begin(SLOT, "other", TERMS) == NewerFormat()
    with in_tables.engine.begin() as connection:
        connection.execute(update(table).values(expires_ms=1))
    assert in_tables.take().attempt == 1, "what expired is nobody's, in every format"


def test_a_missing_table_is_named_with_the_call_that_makes_it(in_tables: KeptInSql) -> None:
    store = in_tables.store
    assert isinstance(store, SqlKeyStore | Awaited)
    store.check()
    table.drop(in_tables.engine)

    for call in (store.check, store.sweep, lambda: store.begin(SLOT, "d", TERMS)):
        with pytest.raises(StoreNotReady, match=r"call jobstream\.sql\.create_tables\(engine\)"):
            call()


def test_a_sweep_of_a_large_table_reads_its_index_alone(in_tables: KeptInSql) -> None:
    dialect = in_tables.engine.dialect.name
    with in_tables.engine.begin() as connection:
        rows = [
            {
                "caller": "me", "key": str(n), "format": 1, "digest": "d", "token": "t",
                "attempt": 1, "state": 1, "lease_ms": 0, "expires_ms": 2**53,
            }
            for n in range(5_000)
        ]  # fmt: skip
        connection.execute(insert(table), rows)
        if dialect == "postgresql":
            connection.exec_driver_sql("ANALYZE jobstream_idempotency_keys")
        explain = "EXPLAIN" if dialect == "postgresql" else "EXPLAIN QUERY PLAN"
        compiled = str(sweep(dialect).compile(dialect=in_tables.engine.dialect))
        text = re.sub(r"%\(\w+\)s(::\w+)?|\?", "10", compiled)
        plan = " ".join(map(str, connection.exec_driver_sql(f"{explain} {text}")))

    assert "jobstream_idempotency_keys_by_end" in plan
    assert "expires_ms<" in plan or "Index Cond: (expires_ms <=" in plan


@pytest.mark.parametrize("awaited", [False, True])
def test_a_database_that_is_away_comes_back_without_a_restart(*, awaited: bool) -> None:
    with Postgres() as server, in_sql(server.url, awaited=awaited) as kept:
        kept.store.keep(kept.take(), ANSWER, TERMS)
        server.stop()
        with pytest.raises(StoreAway):
            kept.store.begin(SLOT, "d", TERMS)
        server.start()

        assert kept.store.begin(SLOT, "d", TERMS) == Answered(ANSWER)
        server.stop()
        server.start()
        assert kept.store.begin(SLOT, "d", TERMS) == Answered(ANSWER), "dead connections are left"


async def _cut_short(url: str, engine: Engine) -> None:
    store = SqlKeyStore(url)
    mine = await store.abegin(SLOT, "d", TERMS)
    assert isinstance(mine, Mine)
    with engine.begin() as connection:
        connection.execute(update(table).values(attempt=7))  # The row is locked meanwhile.
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await store.akeep(mine, ANSWER, TERMS)
    assert await store.akeep(mine, ANSWER, TERMS)
    assert await store.abegin(SLOT, "d", TERMS) == Answered(ANSWER)
    store.close()


def test_an_awaited_call_that_is_cut_short_harms_no_later_one(postgres: str) -> None:
    with in_sql(postgres) as kept:
        asyncio.run(_cut_short(postgres, kept.engine))


def _sessions(engine: Engine) -> set[int]:
    asked = "SELECT pid FROM pg_stat_activity WHERE application_name = 'jobstream'"
    with engine.begin() as connection:
        return set(connection.exec_driver_sql(asked).scalars())


async def _refused(url: str, engine: Engine) -> None:
    store = SqlKeyStore(url)
    await asyncio.gather(*(store.abegin(KeySlot("me", str(n)), "d", TERMS) for n in range(3)))
    sessions = _sessions(engine)
    table.drop(engine)
    with pytest.raises(StoreNotReady):
        await store.abegin(SLOT, "d", TERMS)
    create_tables(engine)

    await asyncio.gather(*(store.abegin(KeySlot("me", str(n)), "d", TERMS) for n in range(3)))
    assert _sessions(engine) == sessions
    store.close()


def test_an_error_of_a_statement_costs_no_awaited_connection(postgres: str) -> None:
    with in_sql(postgres) as kept:
        asyncio.run(_refused(postgres, kept.engine))


def test_connections_of_loops_that_ended_are_closed(postgres: str) -> None:
    with in_sql(postgres) as kept:
        store = SqlKeyStore(postgres)

        async def begin(name: str) -> None:
            await store.abegin(KeySlot("me", name), "d", TERMS)

        for n in range(3):
            asyncio.run(begin(str(n)))

        # The server takes a moment to miss a client.
        wait_until(lambda: len(_sessions(kept.engine)) == 1, "one is left", limit_s=60)
        store.close()
        wait_until(lambda: not _sessions(kept.engine), "none is left", limit_s=60)


async def _crowded(url: str, engine: Engine) -> None:
    store = SqlKeyStore(url)
    mine = await store.abegin(SLOT, "d", TERMS)
    assert isinstance(mine, Mine)
    with engine.begin() as connection:
        connection.execute(update(table).values(attempt=7))  # The row is locked meanwhile.
        calls = [asyncio.create_task(store.akeep(mine, ANSWER, TERMS)) for _ in range(POOL + 1)]
        done, waiting = await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)
    (refused,) = [call.exception() for call in done]
    assert isinstance(refused, StoreAway)
    assert "every connection is in use" in str(refused)
    assert await asyncio.gather(*waiting) == [True] * POOL
    store.close()


def test_an_awaited_call_waits_for_a_connection_no_longer_than_it_may(
    postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop_steps, "WAIT_S", 0.2)
    with in_sql(postgres) as kept:
        asyncio.run(_crowded(postgres, kept.engine))


@pytest.mark.parametrize("awaited", [False, True])
def test_what_a_url_says_itself_counts(postgres: str, *, awaited: bool) -> None:
    with in_sql(postgres) as kept:
        kept.take()
        own = "-c search_path=elsewhere -c statement_timeout=77s"
        url = make_url(postgres).update_query_dict({"options": own, "application_name": "shop"})
        text = url.render_as_string(hide_password=False)
        store = Awaited(text) if awaited else SqlKeyStore(text)

        with pytest.raises(StoreNotReady, match="no table"):
            store.begin(SLOT, "d", TERMS)
        store.close()
    engine = engine_for(text)
    with engine.connect() as connection:
        shown = [
            connection.exec_driver_sql(f"SHOW {name}").scalar_one()
            for name in ("statement_timeout", "application_name")
        ]
    engine.dispose()
    assert shown == ["77s", "shop"]


def test_a_url_of_another_database_is_refused_by_name() -> None:
    with pytest.raises(ConfigError, match="mysql: jobstream works with PostgreSQL and SQLite"):
        SqlKeyStore("mysql://db/shop")
    with pytest.raises(ConfigError, match="that URL is no database") as refused:
        SqlKeyStore("shop:secret@db")
    assert "secret" not in str(refused.value)


def test_an_engine_of_the_caller_is_left_as_it_was(postgres: str) -> None:
    with in_sql(postgres) as kept:
        kept.take()
        with kept.engine.connect() as connection:
            connection.execute(table.delete())
            connection.rollback()

        assert kept.store.begin(SLOT, "d", TERMS) == InUse(), "its transactions are transactions"


def test_a_store_in_memory_is_bounded() -> None:
    now = [0.0]
    store = MemoryKeyStore(keys_max=2, now_ms=lambda: now[0])
    for key in ("a", "b"):
        store.begin(KeySlot("me", key), "d", TERMS)
    with pytest.raises(StoreAway, match="2 keys of 2"):
        store.begin(SLOT, "d", TERMS)
    now[0] += TERMS.keep_ms

    assert isinstance(store.begin(SLOT, "d", TERMS), Mine)
    small = MemoryKeyStore(bytes_max=2_000)
    mine = small.begin(SLOT, "d", TERMS)
    assert isinstance(mine, Mine)
    small.keep(mine, StoredAnswer(200, (), b"x" * 2_000), TERMS)
    with pytest.raises(StoreAway, match="bytes"):
        small.begin(KeySlot("me", "b"), "d", TERMS)
