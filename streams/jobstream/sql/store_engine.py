"""The engine of a store, and single statements on it, each a transaction of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import event
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.sql.compiler import SQLCompiler

from jobstream.idempotency.errors import StoreAway, StoreNotReady
from jobstream.sql.database_url import database_url, made_engine, shown

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping, Sequence

    from sqlalchemy import ClauseElement, Engine
    from sqlalchemy.engine import URL

WAIT_S = 5
"""For a connection of the pool, for the server, for a statement, and for SQLite's lock."""
POOL = 8
TRIES = 3
MAKE = "jobstream.sql.create_tables(engine)"
AGAIN = frozenset({"40001", "40P01"})
"""Of PostgreSQL: two transactions met, and this one may be tried again."""
ENDED = frozenset({"57P01", "57P02", "57P03"})
"""Of PostgreSQL: the server ends the session, or takes none now."""
_GONE = frozenset({"42P01", "42703", "3F000"})
_GONE_IN_SQLITE = ("no such table", "no such column", "has no column")


def engine_for(url: str) -> Engine:
    """An engine whose every wait is bounded and whose every statement is committed.

    Connects to nothing. Raises WrongDatabase.
    """
    made = database_url(url)
    pool = {"pool_size": POOL, "max_overflow": POOL, "pool_timeout": WAIT_S}
    engine = made_engine(made, given_to(made), isolation_level="AUTOCOMMIT", **pool)
    if made.get_backend_name() == "sqlite":
        event.listen(engine, "connect", _in_wal)
    return engine


def given_to(url: URL) -> dict[str, Any]:
    """What the driver is given, so that no wait of it is without a bound."""
    if url.get_backend_name() == "sqlite":
        return {"timeout": WAIT_S}
    return {
        "connect_timeout": WAIT_S,
        "tcp_user_timeout": WAIT_S * 1000,
        "application_name": "jobstream",
        "options": f"-c statement_timeout={WAIT_S * 1000}",
    }


def _in_wal(connection: sqlite3.Connection, _: object) -> None:
    connection.execute("PRAGMA journal_mode=WAL").close()


class SingleSteps:
    """Statements on one engine, each committed by itself. Any thread may call it.

    They go to the driver as texts that were compiled once: a tenth of a millisecond less for each
    than by a connection of SQLAlchemy, whose pool they use.
    """

    def __init__(self, engine: Engine, *, is_own: bool) -> None:
        """`is_own`: its connections commit each statement already, and nobody else uses them."""
        self._engine, self._is_own = engine, is_own

    def prepared(self, statement: ClauseElement) -> Prepared:
        """The statement as the driver takes it."""
        return Prepared(statement, self._engine)

    def rows(self, statement: Prepared, values: Mapping[str, Any]) -> Sequence[Any]:
        """What the statement returns. Raises StoreAway and StoreNotReady."""
        return self._done(statement, values)[0]

    def changed(self, statement: Prepared, values: Mapping[str, Any]) -> int:
        """How many rows the statement changed; errors as in `rows`."""
        return self._done(statement, values)[1]

    def _done(self, statement: Prepared, values: Mapping[str, Any]) -> tuple[Sequence[Any], int]:
        """Tried again on a new connection where an old one turns out to be dead."""
        driver = self._engine.dialect.loaded_dbapi
        for left in reversed(range(TRIES)):
            try:
                return self._tried(statement, values)
            except _ConnectionDied as death:
                self._engine.dispose()  # The others of the pool are as old.
                if not left:
                    raise told(self._engine, death.error) from death.error
            except driver.Error as error:
                if not left or state_of(error) not in AGAIN:
                    raise told(self._engine, error) from error
            except PoolTimeout as error:
                where = shown(self._engine.url)
                message = f"{where}: every connection is in use"
                raise StoreAway(message) from error
        raise AssertionError  # pragma: no cover - the last try returns or raises

    def _tried(self, statement: Prepared, values: Mapping[str, Any]) -> tuple[Sequence[Any], int]:
        dialect, pooled = self._engine.dialect, self._engine.raw_connection()
        try:
            connection = pooled.dbapi_connection
            assert connection is not None, "it is checked out"  # noqa: S101 - an invariant
            if not self._is_own:
                dialect.set_isolation_level(connection, "AUTOCOMMIT")
            cursor = connection.cursor()
            try:
                cursor.execute(statement.text, statement.given(values))
                rows = () if cursor.description is None else cursor.fetchall()
                found = rows, cursor.rowcount
            finally:
                cursor.close()
            if not self._is_own:
                dialect.reset_isolation_level(connection)
        except BaseException as error:
            driver, connection = dialect.loaded_dbapi, pooled.dbapi_connection
            is_dead = isinstance(error, driver.Error) and dialect.is_disconnect(
                error, connection, None
            )
            pooled.invalidate(error)
            if is_dead and isinstance(error, Exception):
                raise _ConnectionDied(error) from error
            raise
        pooled.close()
        return found


def told(engine: Engine, error: Exception) -> StoreAway | StoreNotReady:
    """What a driver's error means."""
    where = shown(engine.url)
    text = " ".join(str(error).split())[:300]
    if state_of(error) in _GONE or any(word in text for word in _GONE_IN_SQLITE):
        message = (
            f"{where} has no table jobstream_idempotency_keys of this version: call {MAKE}, or "
            f"add jobstream.sql.metadata to your migrations ({text})"
        )
        return StoreNotReady(message)
    if isinstance(error, engine.dialect.loaded_dbapi.ProgrammingError):
        message = f"{where}: the table jobstream_idempotency_keys can't be used: {text}"
        return StoreNotReady(message)
    return StoreAway(f"{where}: {text}")


class _ConnectionDied(Exception):
    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error


class Prepared:
    """One statement, compiled for one kind of database and driver."""

    def __init__(self, statement: ClauseElement, engine: Engine) -> None:
        compiled = statement.compile(dialect=engine.dialect)
        assert isinstance(compiled, SQLCompiler), "it is no DDL"  # noqa: S101 - an invariant
        self._compiled = compiled
        self.text = str(compiled)
        self.query = self.text.encode()
        """The same as a driver takes it that tells literals from texts at run time."""

    def given(self, values: Mapping[str, Any]) -> Any:  # noqa: ANN401 - what the driver takes
        """The values as the driver takes them."""
        found = self._compiled.construct_params(values)
        if not self._compiled.positional:
            return found
        return tuple(found[name] for name in self._compiled.positiontup or ())


def state_of(error: Exception) -> str:
    """PostgreSQL's code for it; "" where there is none."""
    return str(getattr(error, "sqlstate", None) or getattr(error, "pgcode", None) or "")
