"""The engine of a store, and single statements on it, each a transaction of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy import create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, ProgrammingError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from jobstream.errors import ConfigError
from jobstream.idempotency.errors import StoreAway, StoreNotReady

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Mapping, Sequence

    from sqlalchemy import Connection, Engine
    from sqlalchemy.sql import Executable

T = TypeVar("T")
WAIT_S = 5
"""For a connection of the pool, for the server, for a statement, and for SQLite's lock."""
POOL = 8
TRIES = 3
MAKE = "jobstream.sql.create_tables(engine)"
_AGAIN = frozenset({"40001", "40P01"})
"""Of PostgreSQL: two transactions met, and this one may be tried again."""
_GONE = frozenset({"42P01", "42703", "3F000"})
_GONE_IN_SQLITE = ("no such table", "no such column", "has no column")


def engine_for(url: str) -> Engine:
    """An engine whose every wait is bounded; connects to nothing. Raises ConfigError."""
    try:
        made = make_url(url)
        backend = made.get_backend_name()
    except (ArgumentError, NoSuchModuleError) as error:
        message = "that is no URL of a database: write postgresql://user@host/name"
        raise ConfigError(message) from error
    options: dict[str, Any] = {"pool_size": POOL, "max_overflow": POOL, "pool_timeout": WAIT_S}
    if backend == "postgresql":
        made = made.set(drivername="postgresql+psycopg")
        options["connect_args"] = {
            "connect_timeout": WAIT_S,
            "tcp_user_timeout": WAIT_S * 1000,
            "application_name": "jobstream",
            "options": f"-c statement_timeout={WAIT_S * 1000}",
        }
    elif backend == "sqlite":
        if not made.database or made.database == ":memory:":
            message = (
                "a database in memory is seen by one connection: give a file, or use MemoryKeyStore"
            )
            raise ConfigError(message)
        made = made.set(drivername="sqlite+pysqlite")
        options["connect_args"] = {"timeout": WAIT_S}
    try:
        engine = create_engine(made, **options)
    except ModuleNotFoundError as error:
        message = f"{made.drivername} needs a driver: pip install 'jobstream[postgres]'"
        raise ConfigError(message) from error
    if backend == "sqlite":
        event.listen(engine, "connect", _in_wal)
    return engine


def _in_wal(connection: sqlite3.Connection, _: object) -> None:
    connection.execute("PRAGMA journal_mode=WAL").close()


class SingleSteps:
    """Statements on one engine, each committed by itself. Any thread may call it."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine.execution_options(isolation_level="AUTOCOMMIT")
        self._where = engine.url.render_as_string(hide_password=True)

    def rows(self, statement: Executable, values: Mapping[str, Any]) -> Sequence[Any]:
        """What the statement returns. Raises StoreAway and StoreNotReady."""
        return self._done(lambda connection: connection.execute(statement, values).all())

    def changed(self, statement: Executable, values: Mapping[str, Any]) -> int:
        """How many rows the statement changed; errors as in `rows`."""
        return self._done(lambda connection: connection.execute(statement, values).rowcount)

    def _done(self, step: Callable[[Connection], T]) -> T:
        """Tried again on a new connection where an old one turns out to be dead."""
        for left in reversed(range(TRIES)):
            try:
                with self._engine.connect() as connection:
                    return step(connection)
            except DBAPIError as error:
                if not left or not _may_pass(error):
                    raise self._told(error) from error
            except PoolTimeout as error:
                message = f"{self._where}: every connection is in use"
                raise StoreAway(message) from error
        raise AssertionError  # pragma: no cover - the last try returns or raises

    def _told(self, error: DBAPIError) -> StoreAway | StoreNotReady:
        text = " ".join(str(error.orig).split())[:300]
        if _state(error) in _GONE or any(word in text for word in _GONE_IN_SQLITE):
            message = (
                f"{self._where} has no table jobstream_idempotency_keys of this version: call "
                f"{MAKE}, or add jobstream.sql.metadata to your migrations ({text})"
            )
            return StoreNotReady(message)
        if isinstance(error, ProgrammingError):
            message = f"{self._where}: the table jobstream_idempotency_keys can't be used: {text}"
            return StoreNotReady(message)
        return StoreAway(f"{self._where}: {text}")


def _state(error: DBAPIError) -> str:
    return str(getattr(error.orig, "sqlstate", "") or "")


def _may_pass(error: DBAPIError) -> bool:
    return error.connection_invalidated or _state(error) in _AGAIN
