"""Outbox and inbox on a real PostgreSQL, and through Django: statements, waits, refusals."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import create_engine, event, func, insert, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session
from sqlalchemy.sql.compiler import SQLCompiler
from tests.harness.postgres import Postgres
from tests.harness.waiting import wait_until
from tests.unit.sql.ledger import Receipt, count, made, orders, shop

from jobstream.sql import NotInTransaction, Superseded, TablesMissing, aenqueue_in, enqueue_in, once
from jobstream.sql.inbox_statements import RENEWED_MS
from jobstream.sql.job_rows import LANES
from jobstream.sql.opening import opened
from jobstream.sql.outbox_rows import OutboxRows
from jobstream.sql.schema import inbox, outbox
from jobstream.sql.sweeping import old_marks, sweep
from jobstream.testing import context

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sqlalchemy import ClauseElement
    from sqlalchemy.engine import Engine

    from jobstream.testing import CollectingContext

LIMIT_S = 180.0
ID = "0198b2a8-0000-7000-8000-00000000000{}"


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    with Postgres() as running:
        yield running


@pytest.fixture
def engine(server: Postgres) -> Iterator[Engine]:
    """A database of the test's own, through psycopg."""
    url = server.url.replace("postgresql:", "postgresql+psycopg:")
    admin = create_engine(url, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        for each in ("DROP DATABASE IF EXISTS shop WITH (FORCE)", "CREATE DATABASE shop"):
            connection.execute(text(each))
    admin.dispose()
    found = made(create_engine(url.removesuffix("postgres") + "shop"))
    yield found
    found.dispose()


def run(number: int = 1, *, token: int = 7) -> CollectingContext:
    return context(shop()[1], job_id=ID.format(number), fencing_token=token)


def test_once_is_one_statement(engine: Engine) -> None:
    said: list[str] = []
    with Session(engine) as session, session.begin():
        session.execute(select(orders))
        event.listen(engine, "before_cursor_execute", lambda *given: said.append(given[2]))
        with once(session, run()) as first:
            assert first

    assert len(said) == 1


def test_second_runs_and_stale_workers(engine: Engine) -> None:
    for expected in (True, False):
        with Session(engine) as session, session.begin(), once(session, run()) as first:
            assert bool(first) is expected
            if first:
                session.execute(insert(orders).values(id=1))
    with Session(engine) as session, session.begin(), once(session, run(2, token=8)) as first:
        assert first
    with Session(engine) as session:
        with pytest.raises(Superseded, match="7 is older than 8"):
            once(session, run(3, token=7)).__enter__()
        session.commit()

    assert (count(engine, orders), count(engine, inbox)) == (1, 2)


def test_a_run_that_finds_an_old_mark_makes_it_young(engine: Engine) -> None:
    ages = text("SELECT extract(epoch FROM now()) * 1000 - done_ms FROM jobstream_inbox")
    found = []
    for aged_ms in (0, RENEWED_MS // 2, RENEWED_MS):
        with engine.begin() as connection:
            connection.execute(update(inbox).values(done_ms=inbox.c.done_ms - aged_ms))
        with Session(engine) as session, session.begin(), once(session, run()) as first:
            assert bool(first) is (not aged_ms)
        with engine.connect() as connection:
            found.append(connection.execute(ages).scalar_one() > RENEWED_MS // 4)

    assert found == [False, True, False], "that of half the time is left as it was"


def test_coroutines_write_and_mark(engine: Engine) -> None:
    _, job = shop()

    async def handler() -> bool:
        there = create_async_engine(engine.url)
        async with AsyncSession(there) as session, session.begin(), once(session, run()) as first:
            if first:
                await session.execute(insert(orders).values(id=1))
                await aenqueue_in(session, job, Receipt(1), delay="5s")
        await there.dispose()
        return bool(first)

    assert [asyncio.run(handler()) for _ in range(2)] == [True, False]
    assert (count(engine, orders), count(engine, outbox)) == (1, 1)


@pytest.mark.parametrize("ends", ["commit", "rollback"])
def test_a_second_run_waits_for_the_first_to_end(engine: Engine, ends: str) -> None:
    answers: list[bool] = []

    def second() -> None:
        with Session(engine) as session, session.begin(), once(session, run()) as first:
            answers.append(bool(first))

    with Session(engine) as session:
        with once(session, run()) as first:
            assert first
        thread = threading.Thread(target=second, daemon=True)
        thread.start()
        locked = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
        automatic = engine.execution_options(isolation_level="AUTOCOMMIT")
        with automatic.connect() as looking:
            wait_until(lambda: looking.execute(text(locked)).scalar(), "it waits", limit_s=LIMIT_S)
        assert answers == []
        getattr(session, ends)()
    thread.join(LIMIT_S)

    assert answers == [ends == "rollback"]


def plan(engine: Engine, statement: ClauseElement) -> str:
    """How PostgreSQL would carry it out."""
    compiled = statement.compile(dialect=engine.dialect)
    assert isinstance(compiled, SQLCompiler)
    with engine.begin() as connection:
        found = connection.exec_driver_sql(f"EXPLAIN {compiled}", compiled.params)
        return " ".join(found.scalars())


def test_old_marks_are_found_by_their_age(engine: Engine) -> None:
    mark = {"step": "", "topic": "shop.mail", "job_type": "send"}
    with engine.begin() as connection:
        connection.execute(insert(inbox), [{**mark, "job_id": str(n)} for n in range(5_000)])
        aged = update(inbox).where(inbox.c.job_id.in_(map(str, range(20))))
        connection.execute(aged.values(done_ms=inbox.c.done_ms - 7_200_000))
        connection.exec_driver_sql("ANALYZE jobstream_inbox")

    shown = plan(engine, old_marks(engine, "shop.mail", 3_600_000))
    assert re.search(r"Index Cond: \(\(topic = [^)]+\) AND \(done_ms < ", shown), shown
    assert sweep(engine, {"shop.mail": 3_600_000}) == 20
    assert count(engine, inbox) == 4_980


def test_rows_that_were_set_aside_are_found_among_many_that_wait(engine: Engine) -> None:
    _, job = shop()
    with Session(engine) as session, session.begin():
        for number in range(1_000):
            enqueue_in(session, job, Receipt(number))
        session.execute(update(outbox).where(outbox.c.n == 500).values(set_aside_ms=1))
    with engine.begin() as connection:
        connection.exec_driver_sql("ANALYZE jobstream_outbox")
    aside = outbox.c.app == "shop", outbox.c.set_aside_ms.is_not(None)

    counted = select(func.count()).select_from(outbox).where(*aside)
    shown = plan(engine, counted)
    assert "jobstream_outbox_set_aside" in shown, shown
    assert OutboxRows(engine, "shop").waiting().set_aside == 1


def test_relays_share_lanes_and_never_a_row(engine: Engine) -> None:
    _, job = shop()
    with Session(engine) as session, session.begin():
        for number in range(64):
            enqueue_in(session, job, Receipt(number))
    first, second = OutboxRows(engine, "shop"), OutboxRows(engine, "shop")
    first.prepare()
    with first.turn([job.name], []) as one, second.turn([job.name], []) as other:
        taken = [{row.n for row in turn.rows} for turn in (one, other)]
        one.gone = sorted(taken[0])

    assert all(taken)
    assert not taken[0] & taken[1]
    assert len(taken[0] | taken[1]) < 64, "while there may be much, neither takes all"
    assert count(engine, outbox) == 64 - len(taken[0])


def test_a_relay_prepares_no_statement_for_a_session_that_it_may_not_have(
    engine: Engine,
) -> None:
    """Behind a pooler of transactions the next transaction is of another session."""
    with opened(engine.url.render_as_string(hide_password=False)) as relays:
        rows = OutboxRows(relays, "shop")
        rows.prepare()
        for _ in range(8):
            with rows.turn(["send_receipt"], []):
                rows.waiting()
            sweep(relays, {"shop.mail": 1})
        with relays.connect() as connection:
            found = connection.exec_driver_sql("SELECT name FROM pg_prepared_statements")
            assert found.scalars().all() == []


def test_a_relay_whose_connection_dies_gives_its_lanes_back(engine: Engine) -> None:
    _, job = shop()
    with Session(engine) as session, session.begin():
        for number in range(64):
            enqueue_in(session, job, Receipt(number))
    first, second = OutboxRows(engine, "shop"), OutboxRows(engine, "shop")
    first.prepare()

    def rows_of(relay: OutboxRows) -> set[int]:
        found = set()
        for _ in range(LANES):
            with relay.turn([job.name], []) as turn:
                found |= {row.n for row in turn.rows}
        return found

    with pytest.raises(Exception, match="terminat"), first.turn([job.name], []) as turn:  # noqa: PT012
        turn.gone = [row.n for row in turn.rows]
        assert turn.gone
        assert not rows_of(second) & set(turn.gone)
        with engine.connect() as killing:
            others = "pid <> pg_backend_pid() AND state = 'idle in transaction'"
            sql = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {others}"  # noqa: S608
            killing.execute(text(sql))

    # The server tells the client of the end before it gives the locks back.
    wait_until(
        lambda: len(rows_of(second)) == 64,
        "what it would have deleted is still there",
        limit_s=LIMIT_S,
    )


def test_a_missing_table_is_named(server: Postgres) -> None:
    bare = create_engine(server.url.replace("postgresql:", "postgresql+psycopg:"))
    with Session(bare) as session, pytest.raises(TablesMissing, match="create_tables"):
        enqueue_in(session, shop()[1], Receipt(1))
    bare.dispose()


def test_autocommit_is_refused(engine: Engine) -> None:
    automatic = create_engine(engine.url, isolation_level="AUTOCOMMIT")
    with Session(automatic) as session, pytest.raises(NotInTransaction):
        enqueue_in(session, shop()[1], Receipt(1))
    automatic.dispose()


DJANGO = """
import json, sys
from dataclasses import dataclass

import django
from django.conf import settings

settings.configure(DATABASES={"default": json.loads(sys.argv[1])})
django.setup()
from django.db import connection, transaction

from jobstream import App
from jobstream.sql import NotInTransaction, OnceUnasked, create_tables, enqueue_in, once
from jobstream.testing import context

app = App("site")

@dataclass(frozen=True)
class Order:
    number: int

@app.job
def ship(args: Order) -> None: ...

create_tables(connection)
create_tables("default")
with connection.cursor() as cursor:
    cursor.execute("CREATE TABLE orders (number INTEGER)")

def write(number):
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO orders VALUES (%s)", [number])

def count(table):
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT count(*) FROM {table}")
        return cursor.fetchone()[0]

told = {}
with transaction.atomic():
    write(1)
    enqueue_in("default", ship, Order(1), delay="5s")
try:
    with transaction.atomic():
        write(2)
        enqueue_in(connection, ship, Order(2))
        raise KeyError
except KeyError:
    pass
told["written"] = [count("orders"), count("jobstream_outbox")]
try:
    enqueue_in("default", ship, Order(3))
except NotInTransaction as error:
    told["outside"] = str(error)

ID = "0198b2a8-0000-7000-8000-000000000001"
told["first"] = []
for attempt in (1, 2):
    with transaction.atomic(), once("default", context(ship, job_id=ID, attempt=attempt)) as first:
        told["first"].append(bool(first))
        if first:
            write(4)
try:
    with transaction.atomic(), once("default", context(ship)):
        write(5)
except OnceUnasked:
    told["unasked"] = True
with transaction.atomic():
    try:
        with once("default", context(ship)) as first:
            assert first
            write(6)
            raise KeyError
    except KeyError:
        pass
told["after"] = [count("orders"), count("jobstream_inbox")]
print(json.dumps(told))
"""


@pytest.mark.parametrize("kind", ["sqlite3", "postgresql"])
def test_django_writes_and_marks_in_its_own_transactions(
    engine: Engine, tmp_path: Path, kind: str
) -> None:
    settings: dict[str, object] = {"ENGINE": f"django.db.backends.{kind}"}
    if kind == "sqlite3":
        settings["NAME"] = str(tmp_path / "site.db")
    else:
        with engine.begin() as connection:
            connection.execute(text("DROP TABLE orders"))
        url = engine.url
        settings |= {"NAME": "shop", "HOST": url.host, "PORT": url.port, "USER": url.username}
    (tmp_path / "program.py").write_text(DJANGO)
    ran = subprocess.run(
        [sys.executable, str(tmp_path / "program.py"), json.dumps(settings)],
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )

    assert ran.returncode == 0, ran.stderr[-3000:]
    told = json.loads(ran.stdout)
    assert told["written"] == [1, 1]
    assert "transaction.atomic(using='default')" in told["outside"]
    assert told["first"] == [True, False]
    assert told["unasked"]
    assert told["after"] == [2, 1]
