"""Runs a statement in the transaction of whatever the user holds.

That is a session or connection of SQLAlchemy, sync or async, or a connection of Django or its
alias. Statements are plain SQL with parameters written `:name`; a handle gives back their rows.
"""

from __future__ import annotations

import re
import sys
from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol, TypeGuard

from sqlalchemy import text
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session, scoped_session

from jobstream.sql.errors import NotInTransaction, TablesMissing, WrongDatabase

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

KNOWN = ("postgresql", "sqlite")
TABLE = "jobstream_"
ASYNCIO = "sqlalchemy.ext.asyncio"
_NAMED = re.compile(r"(?<!:):([a-z_]+)")


class Handle(Protocol):
    """A transaction of the user's, from sync code."""

    @property
    def dialect(self) -> str:
        """`postgresql` or `sqlite`."""

    def run(self, sql: str, given: Mapping[str, object]) -> Sequence[Sequence[Any]]:
        """Execute; the rows that it returns, if any. Blocks as the database does."""

    def roll_back(self) -> None:
        """Undo the user's whole transaction."""


class AsyncHandle(Protocol):
    """The same from a coroutine."""

    async def dialect(self) -> str:
        """`postgresql` or `sqlite`."""

    async def run(self, sql: str, given: Mapping[str, object]) -> Sequence[Sequence[Any]]:
        """Execute; the rows that it returns, if any."""

    async def roll_back(self) -> None:
        """Undo the user's whole transaction."""


class _Alchemy:
    """A `Session` or `Connection` of SQLAlchemy."""

    def __init__(self, held: Session | Connection) -> None:
        self._held = held
        self._connection = held if isinstance(held, Connection) else held.connection()
        _must_be_in_transaction(self._connection)
        self.dialect = known(self._connection.dialect.name)

    def run(self, sql: str, given: Mapping[str, object]) -> Sequence[Sequence[Any]]:
        with naming_the_remedy():
            found = self._connection.execute(text(sql), dict(given))
            return found.all() if found.returns_rows else []

    def roll_back(self) -> None:
        self._held.rollback()


class _AsyncAlchemy:
    """An `AsyncSession` or `AsyncConnection` of SQLAlchemy."""

    def __init__(self, held: AsyncSession | AsyncConnection) -> None:
        self._held = held
        self._connection: AsyncConnection | None = None

    async def _open(self) -> AsyncConnection:
        if self._connection is None:
            held = self._held
            kind: type[AsyncConnection] = _asyncio().AsyncConnection
            made = held if isinstance(held, kind) else await held.connection()
            _must_be_in_transaction(made.sync_connection)
            self._connection = made
        return self._connection

    async def dialect(self) -> str:
        return known((await self._open()).dialect.name)

    async def run(self, sql: str, given: Mapping[str, object]) -> Sequence[Sequence[Any]]:
        connection = await self._open()
        with naming_the_remedy():
            found = await connection.execute(text(sql), dict(given))
            return found.all() if found.returns_rows else []

    async def roll_back(self) -> None:
        await self._held.rollback()


class _Django:
    """A connection of Django."""

    def __init__(self, connection: Any) -> None:  # noqa: ANN401 - Django has no types
        self._connection = connection
        if not connection.in_atomic_block and connection.get_autocommit():
            name = connection.alias
            message = (
                f"database {name!r} is not in a transaction, so nothing was written: put your "
                f"changes and this call into transaction.atomic(using={name!r})"
            )
            raise NotInTransaction(message)
        self.dialect = known(connection.vendor)

    def run(self, sql: str, given: Mapping[str, object]) -> Sequence[Sequence[Any]]:
        with naming_the_remedy(), self._connection.cursor() as cursor:
            cursor.execute(_NAMED.sub(r"%(\1)s", sql), dict(given))
            return cursor.fetchall() if cursor.description else []

    def roll_back(self) -> None:
        # Of a block it is the end that rolls back, whatever is raised or caught inside.
        if self._connection.in_atomic_block:
            self._connection.set_rollback(True)
        else:
            self._connection.rollback()


def handle_of(held: object, instead: str) -> Handle:
    """What runs statements in the transaction of `held`, from sync code.

    Raises WrongDatabase for what it does not know, naming `instead` for what belongs to coroutines,
    and NotInTransaction where each statement is committed by itself.
    """
    if isinstance(held, scoped_session):
        held = held()
    if isinstance(held, Session | Connection):
        return _Alchemy(held)
    if is_async(held):
        message = f"{type(held).__name__} belongs to coroutines: use `{instead}`"
        raise WrongDatabase(message)
    found = django_connection(held)
    if found is not None:
        return _Django(found)
    raise unknown(held)


def async_handle_of(held: object, instead: str) -> AsyncHandle:
    """The same from a coroutine."""
    if is_async(held):
        scoped = _asyncio().async_scoped_session
        return _AsyncAlchemy(held() if isinstance(held, scoped) else held)
    if (
        isinstance(held, Session | Connection | scoped_session)
        or django_connection(held) is not None
    ):
        name = held if isinstance(held, str) else type(held).__name__
        message = f"{name} belongs to plain functions: use `{instead}`"
        raise WrongDatabase(message)
    raise unknown(held)


def is_async(held: object) -> TypeGuard[AsyncSession | AsyncConnection]:
    """Whether it is a session or connection of SQLAlchemy that belongs to coroutines.

    Its module needs a library more than others of SQLAlchemy do, and holders of such a one have it.
    """
    if ASYNCIO not in sys.modules:
        return False
    there = _asyncio()
    kinds = (there.AsyncSession, there.AsyncConnection, there.async_scoped_session)
    return isinstance(held, kinds)


def known(dialect: str) -> str:
    """The dialect itself; raises WrongDatabase for one that was never tried."""
    if dialect in KNOWN:
        return dialect
    message = f"{dialect}: jobstream works with PostgreSQL and SQLite"
    raise WrongDatabase(message)


@contextmanager
def naming_the_remedy(where: str = "this database") -> Iterator[None]:
    """Turn an error about a table of ours that is missing into one that says how to make it.

    `where` names the database, unless it is the user's own handle that leads there.
    """
    try:
        yield
    except Exception as error:
        cause = error.orig if isinstance(error, DBAPIError) else error
        said = str(cause)
        if TABLE in said and ("no such table" in said or "does not exist" in said):
            message = (
                f"the tables of jobstream are not in {where}: call "
                "jobstream.sql.create_tables(engine) once, or give your Alembic "
                "target_metadata = [Base.metadata, jobstream.sql.metadata]"
            )
            raise TablesMissing(message) from error
        raise


def _asyncio() -> Any:  # noqa: ANN401 - a module
    return import_module(ASYNCIO)


def django_connection(held: object) -> Any:  # noqa: ANN401 - Django has no types
    """A connection of Django's, or the one of an alias; None for anything else."""
    if "django.db" not in sys.modules:
        return None
    django_db: Any = import_module("django.db")
    if isinstance(held, str):
        return django_db.connections[held]
    wrapper: Any = import_module("django.db.backends.base.base").BaseDatabaseWrapper
    if isinstance(held, wrapper):
        return held
    # What Django calls `connection` stands for that of the default alias.
    if held is django_db.connection:
        return django_db.connections[django_db.DEFAULT_DB_ALIAS]
    return None


def _must_be_in_transaction(connection: Connection | None) -> None:
    if connection is None:
        return
    level = connection.get_execution_options().get("isolation_level")
    raw = connection.connection.dbapi_connection
    if level != "AUTOCOMMIT" and getattr(raw, "autocommit", None) is not True:
        return
    message = (
        "this connection commits each statement by itself (AUTOCOMMIT), so nothing was written: "
        "use one with transactions"
    )
    raise NotInTransaction(message)


def unknown(held: object) -> WrongDatabase:
    """The error for what is no handle at all."""
    return WrongDatabase(
        f"{held!r:.100} is no transaction that is known here: give a Session or Connection of "
        "SQLAlchemy, sync or async, or a connection of Django or its alias, as in 'default'"
    )
