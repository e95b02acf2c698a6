"""Opens the user's database for the relay, which has no session of the user's."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from sqlalchemy import event

from jobstream.sql.database_url import (
    database_url,
    file_of,
    made_engine,
    open_existing,
    shown,
)
from jobstream.sql.errors import WrongDatabase

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator

    from sqlalchemy import Connection, Engine
    from sqlalchemy.engine import URL

CONNECT_S = 5
WRITES = "jobstream_writes"
BUSY_S = 5.0
"""How long SQLite waits for another writer."""


def engine_of(url: URL) -> Engine:
    """An engine, which connects at first use. Raises WrongDatabase where the driver is missing."""
    if url.get_backend_name() != "sqlite":
        # Statements that are prepared belong to one session of the server, and behind a pooler of
        # transactions the next transaction may have another.
        given = {
            "connect_timeout": CONNECT_S,
            "application_name": "jobstream-relay",
            "prepare_threshold": None,
        }
        return made_engine(url, given, isolation_level="READ COMMITTED")
    engine = made_engine(url, {"timeout": BUSY_S, "check_same_thread": False})
    open_existing(engine)
    event.listen(engine, "connect", _begin_by_hand)
    event.listen(engine, "connect", _read_any_text)
    event.listen(engine, "begin", _begin)
    return engine


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """A transaction that changes something; SQLite is told so at its begin."""
    with engine.execution_options(**{WRITES: True}).begin() as connection:
        yield connection


@contextmanager
def opened(text: str) -> Iterator[Engine]:
    """An engine for the block. Raises WrongDatabase, also where the file of SQLite is not there."""
    url = database_url(text)
    if url.get_backend_name() == "sqlite" and not file_of(url).exists():
        message = (
            f"{shown(url)}: there is no file {file_of(url)}. Name the database in which the "
            "service keeps its rows; a new one would not have them"
        )
        raise WrongDatabase(message)
    engine = engine_of(url)
    try:
        yield engine
    finally:
        engine.dispose()


def _begin_by_hand(connection: sqlite3.Connection, _: object) -> None:
    # The driver would begin by itself, and only at the first change: a reader that then writes
    # finds the file locked at once, without any wait.
    connection.isolation_level = None


def _read_any_text(connection: sqlite3.Connection, _: object) -> None:
    # A text of broken UTF-8 in one row would make the reading of every other one fail.
    connection.text_factory = lambda raw: raw.decode("utf-8", "surrogateescape")


def _begin(connection: Connection) -> None:
    # One that only reads waits for no writer, however long that has its transaction open.
    writes = connection.get_execution_options().get(WRITES)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
