"""A job in the caller's transaction: there with its commit, checked at the call, the same twice."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import create_engine, insert, select
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session, scoped_session, sessionmaker
from tests.unit.sql.ledger import Receipt, count, made, orders, shop, sqlite

from jobstream import (
    ConfigError,
    EnqueueVetoed,
    Enqueuing,
    JobTooLarge,
    Middleware,
    WrongArgs,
)
from jobstream.enqueue.composing import When
from jobstream.sql import NotInTransaction, TablesMissing, WrongDatabase, aenqueue_in, enqueue_in
from jobstream.sql.job_rows import headers_of
from jobstream.sql.schema import outbox
from jobstream.testing import context, memory

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sqlalchemy import Row
    from sqlalchemy.engine import Engine


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    found = sqlite(tmp_path / "shop.db")
    yield found
    found.dispose()


def rows(engine: Engine) -> list[Row[Any]]:
    with engine.connect() as connection:
        return list(connection.execute(select(outbox).order_by(outbox.c.n)))


def test_the_row_comes_with_the_commit_and_holds_the_record_of_an_enqueue(engine: Engine) -> None:
    app, job = shop()
    with Session(engine) as session:
        session.execute(insert(orders).values(id=1))
        written = enqueue_in(session, job, Receipt(1), key="o-1")
        session.commit()

    (row,) = rows(engine)
    meta, record = app.client.compose(job.kind, Receipt(1), When(key="o-1"), written.job_id)
    assert (row.app, row.job_type, row.job_id) == ("shop", job.name, meta.id)
    assert (row.topic, row.partition, row.key) == (record.topic, record.partition, record.key)
    assert job.codec.args(row.value) == Receipt(1)
    assert row.headers is None
    assert row.written_ms > 1_700_000_000_000
    assert count(engine, orders) == 1
    app.close()


class Tenants(Middleware):
    """Names a tenant, and blocks one of them."""

    def __init__(self) -> None:
        self.ended: list[str] = []

    def enqueue(self, job: Enqueuing) -> Iterator[None]:
        if job.args == Receipt(13):
            raise EnqueueVetoed("blocked")  # noqa: EM101 - as a user writes it
        job.headers["tenant"] = "acme"
        yield
        self.ended.append(job.name)


def test_middleware_is_around_it_as_around_any_enqueue(engine: Engine) -> None:
    app, job = shop()
    tenants = Tenants()
    app.middleware(tenants)
    with Session(engine) as session:
        enqueue_in(session, job, Receipt(1))
        with pytest.raises(EnqueueVetoed, match="blocked"):
            enqueue_in(session, job, Receipt(13))
        session.commit()

    (row,) = rows(engine)
    assert headers_of(row.headers) == [("tenant", b"acme")]
    assert tenants.ended == [job.name]


def test_a_middleware_that_comes_after_the_first_row_is_refused(engine: Engine) -> None:
    app, job = shop()
    with Session(engine) as session, session.begin():
        enqueue_in(session, job, Receipt(1))

    with pytest.raises(ConfigError, match="the app has enqueued already"):
        app.middleware(Tenants)


def test_a_check_asks_no_middleware() -> None:
    app, job = shop()
    tenants = Tenants()
    app.middleware(tenants)

    job.check(Receipt(13), key="o-1")
    with pytest.raises(ConfigError, match="delai"):
        job.check(Receipt(1), delai="1s")  # type: ignore[call-arg]

    assert tenants.ended == []


@pytest.mark.parametrize("how", ["rollback", "close", "raise"])
def test_without_the_commit_there_is_neither_row(engine: Engine, how: str) -> None:
    _, job = shop()
    try:
        with Session(engine) as session, session.begin():
            session.execute(insert(orders).values(id=1))
            enqueue_in(session, job, Receipt(1))
            if how == "rollback":
                session.rollback()
            elif how == "close":
                session.close()
            else:
                raise KeyError(how)  # noqa: TRY301 - what the caller's code raises
    except KeyError:
        assert how == "raise"

    assert (count(engine, orders), count(engine, outbox)) == (0, 0)


def test_a_connection_and_a_scoped_session_do_as_well(engine: Engine) -> None:
    _, job = shop()
    with engine.begin() as connection:
        enqueue_in(connection, job, Receipt(1))
    sessions = scoped_session(sessionmaker(engine))
    enqueue_in(sessions, job, Receipt(2))
    sessions.commit()
    sessions.remove()

    assert [job.codec.args(row.value).order for row in rows(engine)] == [1, 2]


@pytest.mark.parametrize("by", ["session", "connection"])
def test_async_handles_are_awaited(engine: Engine, by: str) -> None:
    _, job = shop()

    async def write() -> None:
        there = create_async_engine(f"sqlite+aiosqlite:///{engine.url.database}")
        if by == "session":
            async with AsyncSession(there) as session, session.begin():
                await aenqueue_in(session, job, Receipt(3))
        else:
            async with there.begin() as connection:
                await aenqueue_in(connection, job, Receipt(3))
        await there.dispose()

    asyncio.run(write())

    assert [job.codec.args(row.value).order for row in rows(engine)] == [3]


@pytest.mark.parametrize(
    ("args", "options", "error", "says"),
    [
        (Receipt("one"), {}, WrongArgs, "'one'"),  # type: ignore[arg-type] # the point
        (Receipt(1, "x" * 1_000_000), {}, JobTooLarge, "1000"),
        (Receipt(1), {"delay": "soon"}, ConfigError, "'soon'"),
        (Receipt(1), {"run_at": datetime(2030, 1, 1)}, ConfigError, "time zone"),  # noqa: DTZ001
        (Receipt(1), {"key": ""}, ConfigError, "key"),
        (Receipt(1), {"dealy": "5s"}, ConfigError, "dealy"),
    ],
)
def test_what_is_wrong_with_a_job_raises_at_the_call(
    engine: Engine, args: Receipt, options: dict[str, Any], error: type[Exception], says: str
) -> None:
    _, job = shop()
    with Session(engine) as session:
        with pytest.raises(error, match=says):
            enqueue_in(session, job, args, **options)
        session.commit()

    assert count(engine, outbox) == 0


def test_a_delay_goes_to_the_rung_with_its_header(engine: Engine) -> None:
    _, job = shop()
    due = datetime(2040, 1, 1, tzinfo=UTC)
    with Session(engine) as session:
        enqueue_in(session, job, Receipt(1), delay="10s")
        enqueue_in(session, job, Receipt(2), run_at=due)
        session.commit()

    first, second = rows(engine)
    assert (first.topic, second.topic) == ("shop.mail.retry.5s", "shop.mail.retry.0s")
    assert dict(headers_of(first.headers) or [])["js-delay-ms"] == b"10000"
    due_ms = str(round(due.timestamp() * 1000)).encode()
    assert dict(headers_of(second.headers) or [])["js-due-ms"] == due_ms


def test_an_idempotency_key_gives_the_id_that_an_enqueue_gives(engine: Engine) -> None:
    app, job = shop()
    with memory(app):
        enqueued = job.enqueue(Receipt(1), idempotency_key="click-1")
    with Session(engine) as session:
        written = enqueue_in(session, job, Receipt(1), idempotency_key="click-1")

    assert written.job_id == enqueued.job_id


def test_a_child_has_the_same_id_in_every_run_of_its_parent(engine: Engine) -> None:
    _, job = shop()
    ids = []
    for attempt in (1, 2):
        ctx = context(job, job_id="0198b2a8-0000-7000-8000-000000000001", attempt=attempt)
        with Session(engine) as session:
            ids.append(enqueue_in(session, job, Receipt(1), parent=ctx).job_id)
            ids.append(enqueue_in(session, job, Receipt(1), parent=ctx).job_id)

    assert ids[:2] == ids[2:]
    assert ids[0] != ids[1]


def test_a_handler_that_is_called_directly_may_write_to_a_database(engine: Engine) -> None:
    app, job = shop()

    @app.job
    def order(args: Receipt) -> str:
        with Session(engine) as session:
            return enqueue_in(session, job, args).job_id

    assert order(Receipt(1))


def test_missing_tables_are_named_with_the_remedy(tmp_path: Path) -> None:
    _, job = shop()
    bare = create_engine(f"sqlite:///{tmp_path / 'bare.db'}")
    with Session(bare) as session, pytest.raises(TablesMissing, match=r"create_tables.*target_met"):
        enqueue_in(session, job, Receipt(1))
    bare.dispose()


def test_a_connection_that_commits_by_itself_is_refused(tmp_path: Path) -> None:
    _, job = shop()
    engine = made(create_engine(f"sqlite:///{tmp_path / 'shop.db'}"))
    with (
        engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection,
        pytest.raises(NotInTransaction, match="AUTOCOMMIT"),
    ):
        enqueue_in(connection, job, Receipt(1))
    engine.dispose()


def test_a_wrong_handle_is_named_with_the_right_one(engine: Engine) -> None:
    _, job = shop()
    with pytest.raises(WrongDatabase, match="Session or Connection"):
        enqueue_in(engine, job, Receipt(1))  # type: ignore[arg-type] # the point
    there = create_async_engine("sqlite+aiosqlite://")
    with pytest.raises(WrongDatabase, match="await aenqueue_in"):
        enqueue_in(AsyncSession(there), job, Receipt(1))  # type: ignore[arg-type] # the point
    with Session(engine) as session, pytest.raises(WrongDatabase, match=r"`enqueue_in\(...\)`"):
        asyncio.run(aenqueue_in(session, job, Receipt(1)))  # type: ignore[arg-type] # the point
    with Session(engine) as session, pytest.raises(ConfigError, match="is no job type"):
        enqueue_in(session, "send_receipt", Receipt(1))  # type: ignore[arg-type] # the point
