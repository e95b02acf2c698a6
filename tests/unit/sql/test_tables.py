"""The tables in the user's own database: made on engines of both kinds, beside the user's own."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy
from alembic.autogenerate import compare_metadata, produce_migrations, render_python_code
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Column, Integer, MetaData, Table, create_engine, inspect, select
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.orm import Session
from sqlalchemy.schema import CreateTable
from tests.unit.sql.ledger import Receipt, shop

from jobstream.sql import create_tables, enqueue_in, metadata
from jobstream.sql.schema import outbox

if TYPE_CHECKING:
    from pathlib import Path

TABLES = set(metadata.tables)


def test_a_sync_engine_gets_the_tables_and_twice_is_harmless(tmp_path: Path) -> None:
    engine = create_engine(f"sqlite:///{tmp_path / 'shop.db'}")

    create_tables(engine)
    create_tables(engine)

    assert set(inspect(engine).get_table_names()) == TABLES
    engine.dispose()


def test_a_connection_makes_them_in_its_own_transaction(tmp_path: Path) -> None:
    engine = create_engine(f"sqlite:///{tmp_path / 'shop.db'}")

    with engine.begin() as connection:
        create_tables(connection)

    assert set(inspect(engine).get_table_names()) == TABLES
    engine.dispose()


@pytest.mark.parametrize("by", ["engine", "connection"])
def test_an_async_engine_gets_them_awaited(tmp_path: Path, by: str) -> None:
    async def made() -> set[str]:
        engine = create_async_engine(f"sqlite+aiosqlite:///{tmp_path / 'shop.db'}")
        if by == "engine":
            await create_tables(engine)
        else:
            async with engine.begin() as connection:
                await create_tables(connection)
        async with engine.connect() as connection:
            found = await connection.run_sync(lambda sync: inspect(sync).get_table_names())
        await engine.dispose()
        return set(found)

    assert asyncio.run(made()) == TABLES


def test_the_tables_go_into_the_metadata_that_alembic_compares(tmp_path: Path) -> None:
    """As `target_metadata = [Base.metadata, jobstream.sql.metadata]` does."""
    own = MetaData()
    Table("orders", own, Column("id", Integer, primary_key=True))
    assert not set(own.tables) & TABLES
    engine = create_engine(f"sqlite:///{tmp_path / 'shop.db'}")

    for each in (own, metadata):
        each.create_all(engine)

    assert set(inspect(engine).get_table_names()) == {"orders", *TABLES}
    engine.dispose()


def test_every_table_says_whose_it_is_and_is_made_on_postgresql() -> None:
    assert {name for name in TABLES if not name.startswith("jobstream_")} == set()
    made = str(CreateTable(outbox).compile(dialect=postgresql.dialect()))  # type: ignore[no-untyped-call]
    assert "BIGSERIAL" in made
    assert "clock_timestamp()" in made


def test_without_sqlalchemy_the_extra_is_named() -> None:
    code = (
        "import sys; sys.modules['sqlalchemy'] = None\n"
        "from jobstream import ConfigError\n"
        "import jobstream.sql\n"
        "try:\n    jobstream.sql.create_tables\n"
        "except ConfigError as error:\n    print(error)\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert "pip install 'jobstream[sql]'" in ran.stdout


def test_a_relay_needs_no_library_for_coroutines() -> None:
    code = (
        "import sys; sys.modules['greenlet'] = None\n"
        "import jobstream.sql.relay, jobstream.sql.inbox, jobstream.sql.outbox_rows\n"
        "from sqlalchemy import create_engine\n"
        "from jobstream.sql import create_tables\n"
        "create_tables(create_engine('sqlite://'))\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_importing_the_package_loads_no_sqlalchemy() -> None:
    code = "import sys, jobstream.sql; print('sqlalchemy' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert ran.stdout.strip() == "False"


def test_alembic_writes_the_step_that_makes_them(tmp_path: Path) -> None:
    """As `alembic revision --autogenerate` and `upgrade` do, with our tables beside the user's."""
    own = MetaData()
    Table("orders", own, Column("id", Integer, primary_key=True))
    engine = create_engine(f"sqlite:///{tmp_path / 'shop.db'}")
    with engine.begin() as connection:
        both: Any = [own, metadata]  # Alembic's types know one of them only.
        options = {"target_metadata": both}
        context = MigrationContext.configure(connection, opts=options)
        steps = produce_migrations(context, both).upgrade_ops
        assert steps is not None
        written = render_python_code(steps, migration_context=context)
        with Operations.context(context) as op:
            # The names that a file of a revision imports.
            exec(  # noqa: S102 - the code that Alembic just wrote
                f"def upgrade():\n{written}\nupgrade()", {"op": op, "sa": sqlalchemy}
            )

        assert set(inspect(connection).get_table_names()) == {"orders", *TABLES}
        assert compare_metadata(context, both) == []
    with Session(engine) as session, session.begin():
        enqueue_in(session, shop()[1], Receipt(1))
    with engine.connect() as connection:
        assert connection.execute(select(outbox.c.written_ms)).scalar_one() > 1_700_000_000_000
    engine.dispose()
