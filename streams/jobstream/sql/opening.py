"""Opens the user's database for the relay, which has no session of the user's."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from sqlalchemy import create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError

from jobstream.sql.errors import WrongDatabase
from jobstream.sql.handles import known

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator

    from sqlalchemy import Connection, Engine
    from sqlalchemy.engine import URL

CONNECT_S = 5
WRITES = "jobstream_writes"
BUSY_S = 5.0
"""How long SQLite waits for another writer."""


def database_url(text: str) -> URL:
    """The URL with the driver that is used here; raises WrongDatabase.

    A service's own URL does, whatever driver it names, sync or async.
    """
    try:
        url = make_url(text)
    except ArgumentError as error:
        message = (
            f"{text!r} is no database: write postgresql://user:password@host/name or "
            "sqlite:////folder/file"
        )
        raise WrongDatabase(message) from error
    if known(url.get_backend_name()) == "postgresql":
        return url.set(drivername="postgresql+psycopg")
    if not url.database or url.database == ":memory:":
        message = "a database in memory is seen by no other process: give a file"
        raise WrongDatabase(message)
    return url.set(drivername="sqlite+pysqlite")


def engine_of(url: URL) -> Engine:
    """An engine, which connects at first use. Raises WrongDatabase where the driver is missing."""
    options: dict[str, Any] = {"isolation_level": "READ COMMITTED"}
    options["connect_args"] = {"connect_timeout": CONNECT_S, "application_name": "jobstream-relay"}
    if url.get_backend_name() == "sqlite":
        options = {"connect_args": {"timeout": BUSY_S, "check_same_thread": False}}
    try:
        engine = create_engine(url, **options)
    except (ModuleNotFoundError, NoSuchModuleError) as error:
        message = f"{url.drivername} needs a driver: pip install 'jobstream[postgres]'"
        raise WrongDatabase(message) from error
    if url.get_backend_name() == "sqlite":
        event.listen(engine, "connect", _begin_by_hand)
        event.listen(engine, "begin", _begin)
    return engine


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """A transaction that changes something; SQLite is told so at its begin."""
    with engine.execution_options(**{WRITES: True}).begin() as connection:
        yield connection


@contextmanager
def opened(text: str) -> Iterator[Engine]:
    """An engine for the block."""
    engine = engine_of(database_url(text))
    try:
        yield engine
    finally:
        engine.dispose()


def _begin_by_hand(connection: sqlite3.Connection, _: object) -> None:
    # The driver would begin by itself, and only at the first change: a reader that then writes
    # finds the file locked at once, without any wait.
    connection.isolation_level = None


def _begin(connection: Connection) -> None:
    # One that only reads waits for no writer, however long that has its transaction open.
    writes = connection.get_execution_options().get(WRITES)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
