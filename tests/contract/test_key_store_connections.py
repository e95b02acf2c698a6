"""The connections of stores of idempotency keys: lost, cut short, crowded, and let go."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import Engine, update
from sqlalchemy.engine import make_url
from tests.harness.kept_keys import ANSWER, SLOT, TERMS, Awaited, in_sql
from tests.harness.postgres import Postgres
from tests.harness.waiting import wait_until

from jobstream.errors import ConfigError
from jobstream.idempotency import StoreAway, StoreNotReady
from jobstream.idempotency.key_states import Answered, InUse, KeySlot, Mine
from jobstream.sql import SqlKeyStore, create_tables, loop_steps
from jobstream.sql.schema import idempotency_keys as table
from jobstream.sql.store_engine import POOL, engine_for

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def postgres() -> Iterator[str]:
    with Postgres() as server:
        yield server.url


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
    # The server takes a moment to miss the clients of the test before.
    wait_until(lambda: not _sessions(engine), "none is there yet", limit_s=60)
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
