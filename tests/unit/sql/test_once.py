"""The mark of a job and its effect: one commit, one effect; a worker of yesterday is refused."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import create_engine, event, insert, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession, create_async_engine
from sqlalchemy.orm import Session
from tests.unit.sql.ledger import count, orders, shop, sqlite

from jobstream import ConfigError
from jobstream.sql import OnceUnasked, Superseded, TablesMissing, WrongDatabase, once
from jobstream.sql.inbox_statements import RENEWED_MS, statements
from jobstream.sql.schema import inbox, inbox_owners
from jobstream.testing import context

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sqlalchemy.engine import Engine

    from jobstream.testing import CollectingContext

ID = "0198b2a8-0000-7000-8000-00000000000{}"


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    found = sqlite(tmp_path / "shop.db")
    yield found
    found.dispose()


def run(number: int = 1, *, token: int = 7, attempt: int = 1) -> CollectingContext:
    _, job = shop()
    return context(job, job_id=ID.format(number), fencing_token=token, attempt=attempt)


def order(session: Session, ctx: CollectingContext, step: str = "") -> bool:
    """What a handler does; whether it had its effect."""
    with once(session, ctx, step=step) as first:
        if first:
            session.execute(insert(orders).values(note=step))
        return bool(first)


def test_the_second_run_of_a_job_changes_nothing(engine: Engine) -> None:
    told = []
    for attempt in (1, 2, 3):
        with Session(engine) as session, session.begin():
            told.append(order(session, run(attempt=attempt)))

    assert told == [True, False, False]
    assert (count(engine, orders), count(engine, inbox)) == (1, 1)


def test_other_jobs_and_other_steps_have_marks_of_their_own(engine: Engine) -> None:
    with Session(engine) as session:
        told = [order(session, run(n), step) for n in (1, 2) for step in ("charge", "book")]
        session.commit()

    assert told == [True] * 4
    assert count(engine, inbox) == 4


@pytest.mark.parametrize("ending", ["rollback", "close", "never"])
def test_a_session_that_never_commits_marks_nothing(engine: Engine, ending: str) -> None:
    session = Session(engine)
    assert order(session, run())
    if ending == "rollback":
        session.rollback()
    elif ending == "close":
        session.close()
    else:
        session.get_bind().dispose()  # type: ignore[union-attr] # an Engine
        session.invalidate()

    assert (count(engine, orders), count(engine, inbox)) == (0, 0)
    with Session(engine) as again, again.begin():
        assert order(again, run(attempt=2))


def test_a_block_that_raises_leaves_no_mark_even_if_the_caller_commits(engine: Engine) -> None:
    with Session(engine) as session:
        with suppress(KeyError), once(session, run()) as first:
            assert first
            session.execute(insert(orders).values(id=1))
            raise KeyError
        session.commit()

    assert (count(engine, orders), count(engine, inbox)) == (0, 0)


@pytest.mark.parametrize("runs", [1, 2])
def test_a_block_that_never_asks_is_rolled_back(engine: Engine, runs: int) -> None:
    if runs == 2:
        with Session(engine) as session, session.begin():
            order(session, run())
    with Session(engine) as session:
        with pytest.raises(OnceUnasked, match="if first:"), once(session, run(attempt=2)):
            session.execute(insert(orders).values(note="twice"))
        session.commit()

    assert count(engine, orders) == runs - 1


def test_a_worker_of_yesterday_is_refused_and_rolled_back(engine: Engine) -> None:
    with Session(engine) as session, session.begin():
        order(session, run(1, token=8))
    with Session(engine) as session:
        session.execute(insert(orders).values(note="by a zombie"))
        with pytest.raises(Superseded, match="token 7 is older than 8"):
            order(session, run(2, token=7))
        session.commit()

    assert (count(engine, orders), count(engine, inbox)) == (1, 1)
    with Session(engine) as session, session.begin():
        assert order(session, run(2, token=9))
    with engine.connect() as connection:
        assert connection.execute(select(inbox_owners.c.fencing_token)).scalars().all() == [9]


def test_the_same_token_is_written_once(engine: Engine) -> None:
    with Session(engine) as session, session.begin():
        order(session, run(1))
    with engine.begin() as connection:
        connection.execute(text("UPDATE jobstream_inbox_owners SET since_ms = 1"))
    with Session(engine) as session, session.begin():
        order(session, run(2))

    with engine.connect() as connection:
        assert connection.execute(select(inbox_owners.c.since_ms)).scalar_one() == 1


def test_a_newer_token_is_remembered_from_its_own_time_on(engine: Engine) -> None:
    """Else the sweep would delete it by the age of the first owner, and let an older one write."""
    with Session(engine) as session, session.begin():
        order(session, run(1, token=7))
    with engine.begin() as connection:
        connection.execute(text("UPDATE jobstream_inbox_owners SET since_ms = 1"))
    with Session(engine) as session, session.begin():
        order(session, run(2, token=8))

    with engine.connect() as connection:
        assert connection.execute(select(inbox_owners.c.since_ms)).scalar_one() > 1


def age(engine: Engine, by_ms: int) -> None:
    with engine.begin() as connection:
        connection.execute(update(inbox).values(done_ms=inbox.c.done_ms - by_ms))


def done_ms(engine: Engine) -> int:
    with engine.connect() as connection:
        return int(connection.execute(select(inbox.c.done_ms)).scalar_one())


@pytest.mark.parametrize("held", ["sync", "async"])
def test_a_run_that_finds_an_old_mark_makes_it_young(engine: Engine, held: str) -> None:
    async def in_coroutine() -> bool:
        there = create_async_engine(f"sqlite+aiosqlite:///{engine.url.database}")
        async with AsyncSession(there) as session, session.begin(), once(session, run()) as first:
            found = bool(first)
        await there.dispose()
        return found

    with Session(engine) as session, session.begin():
        assert order(session, run())
    marked = done_ms(engine)
    age(engine, 2 * RENEWED_MS)
    if held == "async":
        assert not asyncio.run(in_coroutine())
    else:
        with Session(engine) as session, session.begin():
            assert not order(session, run(attempt=2))

    assert done_ms(engine) >= marked


def test_a_young_mark_is_not_written_again(engine: Engine) -> None:
    with Session(engine) as session, session.begin():
        order(session, run())
    age(engine, RENEWED_MS // 2)
    aged = done_ms(engine)
    with Session(engine) as session, session.begin():
        order(session, run(attempt=2))

    assert done_ms(engine) == aged


@pytest.mark.parametrize("by", ["session", "connection"])
def test_coroutines_enter_it_with_async_with(engine: Engine, by: str) -> None:
    async def handler(attempt: int) -> bool:
        there = create_async_engine(f"sqlite+aiosqlite:///{engine.url.database}")
        held: AsyncSession | AsyncConnection
        held = AsyncSession(there) if by == "session" else there.connect()
        async with held, held.begin(), once(held, run(attempt=attempt)) as first:
            if first:
                await held.execute(insert(orders).values(note="async"))
        await there.dispose()
        return bool(first)

    assert [asyncio.run(handler(attempt)) for attempt in (1, 2)] == [True, False]
    assert count(engine, orders) == 1


def test_async_blocks_that_raise_or_do_not_ask_are_rolled_back(engine: Engine) -> None:
    async def handler(error: Exception | None) -> None:
        there = create_async_engine(f"sqlite+aiosqlite:///{engine.url.database}")
        try:
            async with (
                AsyncSession(there) as session,
                session.begin(),
                once(session, run()) as first,
            ):
                await session.execute(insert(orders).values(note="async"))
                if error is not None:
                    assert first
                    raise error
        finally:
            await there.dispose()

    with pytest.raises(KeyError):
        asyncio.run(handler(KeyError()))
    with pytest.raises(OnceUnasked):
        asyncio.run(handler(None))

    assert (count(engine, orders), count(engine, inbox)) == (0, 0)


def test_the_wrong_kind_of_with_is_named(engine: Engine) -> None:
    there = create_async_engine("sqlite+aiosqlite://")
    with pytest.raises(WrongDatabase, match="async with once"):
        once(AsyncSession(there), run()).__enter__()

    async def wrong(session: Session) -> None:
        async with once(session, run()):
            pass

    with Session(engine) as session, pytest.raises(WrongDatabase, match="`with once"):
        asyncio.run(wrong(session))


def test_missing_tables_and_a_bad_step_are_named(tmp_path: Path, engine: Engine) -> None:
    bare = create_engine(f"sqlite:///{tmp_path / 'bare.db'}")
    with Session(bare) as session, pytest.raises(TablesMissing, match="create_tables"):
        order(session, run())
    bare.dispose()
    with Session(engine) as session, pytest.raises(ConfigError, match="at most 100"):
        once(session, run(), step="x" * 101)


def test_in_postgresql_it_is_one_statement() -> None:
    assert len(statements("postgresql")) == 1


def test_its_connection_is_the_users_own(engine: Engine) -> None:
    opened = []
    event.listen(engine, "connect", lambda *_: opened.append(1))
    with Session(engine) as session, session.begin():
        session.execute(select(orders))
        order(session, run())

    assert len(opened) <= 1
