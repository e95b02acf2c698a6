"""The tables that jobstream keeps in the user's own database, and how they are made.

Their names begin with `jobstream_`. Times are those of the database, in epoch milliseconds.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any, overload

from sqlalchemy import (
    BigInteger,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    Text,
    text,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.schema import CreateIndex, CreateTable

from jobstream.sql.database_clock import now_ms
from jobstream.sql.handles import ASYNCIO, django_connection, is_async, known, unknown

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

metadata = MetaData()
"""Of all tables here: add it to `target_metadata` of your Alembic, beside your own."""
_number = BigInteger().with_variant(Integer, "sqlite")
_waits = text("set_aside_ms IS NULL")
_is_set_aside = text("set_aside_ms IS NOT NULL")

outbox = Table(
    "jobstream_outbox",
    metadata,
    Column("n", _number, primary_key=True, autoincrement=True),
    Column("app", Text, nullable=False),
    Column("lane", SmallInteger, nullable=False),
    Column("job_id", Text, nullable=False),
    Column("job_type", Text, nullable=False),
    Column("topic", Text, nullable=False),
    Column("partition", Integer, nullable=False),
    Column("key", LargeBinary, nullable=False),
    Column("value", LargeBinary, nullable=False),
    Column("headers", Text),
    Column("writer_schema", Text, nullable=False),
    Column("written_ms", BigInteger, nullable=False, server_default=now_ms()),
    Column("set_aside_ms", BigInteger),
    Column("error", Text),
    # A number that was used once is never used again: rows are published in their order.
    sqlite_autoincrement=True,
)
"""Jobs that were written with the user's rows, and are not published yet."""
Index(
    "jobstream_outbox_waiting",
    *(outbox.c.app, outbox.c.n, outbox.c.lane),
    sqlite_where=_waits,
    postgresql_where=_waits,
)
# Few rows, among however many that wait: each look at the outbox counts them.
Index(
    "jobstream_outbox_set_aside",
    *(outbox.c.app, outbox.c.n),
    sqlite_where=_is_set_aside,
    postgresql_where=_is_set_aside,
)

outbox_lanes = Table(
    "jobstream_outbox_lanes",
    metadata,
    Column("app", Text, primary_key=True),
    Column("lane", SmallInteger, primary_key=True, autoincrement=False),
)
"""What relays lock while they publish the rows of a lane."""

inbox = Table(
    "jobstream_inbox",
    metadata,
    Column("job_id", Text, primary_key=True),
    Column("step", Text, primary_key=True),
    Column("topic", Text, nullable=False),
    Column("job_type", Text, nullable=False),
    Column("done_ms", BigInteger, nullable=False, server_default=now_ms()),
)
"""What jobs have done in this database."""
Index("jobstream_inbox_by_age", inbox.c.topic, inbox.c.done_ms)

inbox_owners = Table(
    "jobstream_inbox_owners",
    metadata,
    Column("topic", Text, primary_key=True),
    Column("partition", Integer, primary_key=True, autoincrement=False),
    Column("fencing_token", BigInteger, nullable=False),
    Column("since_ms", BigInteger, nullable=False, server_default=now_ms()),
)
"""The highest fencing token that was seen of each partition."""

idempotency_keys = Table(
    "jobstream_idempotency_keys",
    metadata,
    Column("caller", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    # Of every format that there will be: a reader of an older one looks at these alone.
    Column("format", SmallInteger, nullable=False),
    Column("expires_ms", BigInteger, nullable=False),
    Column("digest", Text, nullable=False),
    Column("token", Text, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("state", SmallInteger, nullable=False),
    Column("lease_ms", BigInteger, nullable=False),
    Column("status", SmallInteger),
    Column("headers", Text),
    Column("body", LargeBinary),
)
"""Keys of HTTP requests, and the answers that their repeats get."""
Index("jobstream_idempotency_keys_by_end", idempotency_keys.c.expires_ms)


@overload
def create_tables(bind: Engine | Connection | str) -> None: ...
@overload
def create_tables(bind: AsyncEngine | AsyncConnection) -> Awaitable[None]: ...
def create_tables(
    bind: Engine | Connection | AsyncEngine | AsyncConnection | str,
) -> Awaitable[None] | None:
    """Create the tables that are not there; those that are stay as they are.

    With an `AsyncEngine` or `AsyncConnection` it must be awaited. With a connection it is part of
    its transaction, which the caller commits; a connection of Django or its alias does as well, as
    in a migration's `RunPython`. A project with Alembic gives `metadata` to its `target_metadata`
    instead. Raises what the database raises, and WrongDatabase for what is none.
    """
    if isinstance(bind, Engine | Connection):
        _create(bind)
        return None
    if is_async(bind):
        return bind.run_sync(_create)
    if ASYNCIO in sys.modules and isinstance(bind, import_module(ASYNCIO).AsyncEngine):
        return _created_by(bind)
    _create_in_django(bind)
    return None


async def _created_by(engine: AsyncEngine) -> None:
    async with engine.begin() as connection:
        await connection.run_sync(_create)


def _create_in_django(bind: object) -> None:
    connection = django_connection(bind)
    if connection is None:
        raise unknown(bind)
    is_sqlite = known(connection.vendor) == "sqlite"
    dialect = sqlite.dialect() if is_sqlite else postgresql.dialect()  # type: ignore[no-untyped-call]
    steps: list[CreateTable | CreateIndex] = []
    for table in metadata.sorted_tables:
        steps.append(CreateTable(table, if_not_exists=True))
        ordered = sorted(table.indexes, key=lambda index: str(index.name))
        steps += [CreateIndex(index, if_not_exists=True) for index in ordered]
    with connection.cursor() as cursor:
        for step in steps:
            cursor.execute(str(step.compile(dialect=dialect)))


def _create(bind: Any) -> None:  # noqa: ANN401 - an Engine or a Connection
    metadata.create_all(bind)
