"""Opens the database of the read side: SQLite by default, PostgreSQL by URL.

It looks whether the tables are those of this version, and never changes them by itself.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from sqlalchemy import event, inspect, text
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError

from jobstream.sql.database_url import (
    database_url,
    file_of,
    made_engine,
    server_settings,
    shown,
)
from jobstream.sql.errors import WrongDatabase
from jobstream.views.db_tables import REVISION
from jobstream.views.errors import (
    DatabaseAway,
    DatabaseNewer,
    DatabaseOlder,
    DatabaseRefused,
    TooSlow,
    ValueRefused,
)

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator
    from pathlib import Path

    from sqlalchemy import Connection, Engine
    from sqlalchemy.engine import URL

FILE = "views.sqlite3"
BUSY_MS = 5_000
"""How long SQLite waits for another writer before it says that it is locked."""
CONNECT_S = 5
POOL = 5
MIGRATE = "jobstream views migrate MODULE:APP"
_LOCK = 0x6A6F6273
"""Of PostgreSQL's advisory locks: writers take turns."""
_OF_VALUES = frozenset(("22", "23", "54"))
"""Classes of its states: a value is wrong, against a rule, or too long. All others may pass."""


def default_url(state_dir: Path, app: str) -> str:
    """Where the database of an app is if nothing else is said: a file in its state folder."""
    return f"sqlite:///{state_dir / app / FILE}"


def parsed_url(url: str) -> URL:
    """The URL; raises DatabaseRefused for one that is none, or of another kind of database."""
    try:
        return database_url(url)
    except WrongDatabase as error:
        raise DatabaseRefused(str(error)) from error


def opened(
    url: str, *, read_only: bool = False, schema: str = "", busy_s: float = BUSY_MS / 1000
) -> Engine:
    """An engine for the database, which connects at first use. Any thread may use it.

    `schema` names that of PostgreSQL in which the tables are; "" stands for the usual one. Raises
    DatabaseRefused for a URL of another kind, or where the driver is not installed.
    """
    made = parsed_url(url)
    is_sqlite = made.get_backend_name() == "sqlite"
    pool = {"pool_size": POOL, "max_overflow": POOL, "pool_timeout": CONNECT_S}
    given: dict[str, Any] = {"connect_timeout": CONNECT_S, "application_name": "jobstream"}
    if is_sqlite:
        given = {"timeout": busy_s, "check_same_thread": False}
    elif schema:
        options = f"{server_settings(made)} -csearch_path={schema}"
        made = made.update_query_dict({"options": options.lstrip()})
    try:
        engine = made_engine(made, given, pool_pre_ping=not is_sqlite, **pool)
    except WrongDatabase as error:
        raise DatabaseRefused(str(error)) from error
    if is_sqlite:
        _prepare_sqlite(engine, read_only=read_only)
    return engine


def _prepare_sqlite(engine: Engine, *, read_only: bool) -> None:
    @event.listens_for(engine, "connect")
    def _connected(connection: sqlite3.Connection, _: object) -> None:
        # The driver would begin by itself, and only at the first change.
        connection.isolation_level = None
        cursor = connection.cursor()
        if not read_only:
            cursor.execute("PRAGMA journal_mode=WAL")
        # In WAL mode a crash of the machine may take the last transactions back, rows and offsets
        # alike: they are folded again.
        cursor.execute("PRAGMA synchronous=NORMAL")
        cursor.execute("PRAGMA cache_size=-65536")
        cursor.execute("PRAGMA temp_store=MEMORY")
        if read_only:
            cursor.execute("PRAGMA query_only=ON")
        cursor.close()

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        # A writer takes its lock before it reads what it changes.
        connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")


def take_turn(connection: Connection) -> None:
    """Let no other instance write until this transaction ends."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_LOCK})")


@contextmanager
def own_turn(engine: Engine) -> Iterator[Connection]:
    """A transaction that writes: after those of other instances, to tables of this version.

    The turn comes first, so that none waits for it with rows that the other wants. Blocks for it.
    Raises DatabaseAway, and DatabaseOlder or DatabaseNewer where another version has changed the
    tables since; nothing is stored then.
    """
    with translated(), engine.begin() as connection:
        take_turn(connection)
        check_revision_in(connection)
        yield connection


def limit_time(connection: Connection, seconds: float) -> None:
    """Stop every statement of this transaction after so long."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(f"SET LOCAL statement_timeout = {int(seconds * 1000)}")


def revision_of(engine: Engine) -> str | None:
    """The version of the tables; None where there are none."""
    with translated(), engine.connect() as connection:
        if not inspect(connection).has_table("alembic_version"):
            return None
        return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def check_revision(engine: Engine) -> None:
    """Raise DatabaseOlder or DatabaseNewer unless the tables are those of this version."""
    url = engine.url
    # To connect would make an empty file under a name that is wrong.
    is_there = url.get_backend_name() != "sqlite" or file_of(url).exists()
    _require(revision_of(engine) if is_there else None, shown(url))


def check_revision_in(connection: Connection) -> None:
    """The same in a transaction that is to write: another version may have come meanwhile."""
    found = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    _require(found, shown(connection.engine.url))


def _require(found: str | None, where: str) -> None:
    if found == REVISION:
        return
    if found is None or found < REVISION:
        state = "has no tables yet" if found is None else f"is of version {found}"
        message = f"{where} {state}, this jobstream needs {REVISION}: run {MIGRATE}"
        raise DatabaseOlder(message)
    message = (
        f"{where} is of version {found}, newer than {REVISION} of this jobstream: use the version "
        "that made it, or another database"
    )
    raise DatabaseNewer(message)


def _is_of_value(error: DBAPIError) -> bool:
    """Whether the same statement would fail for ever: of what it stores, not of the database."""
    state = str(getattr(error.orig, "sqlstate", None) or getattr(error.orig, "pgcode", None) or "")
    return isinstance(error, DataError | IntegrityError) or state[:2] in _OF_VALUES


@contextmanager
def translated() -> Iterator[None]:
    """Turn the drivers' errors into ours: DatabaseAway is what may pass."""
    try:
        yield
    except DBAPIError as error:
        text_ = " ".join(str(error.orig).split())[:300]
        if "interrupted" in text_ or "statement timeout" in text_:
            message = f"the question took too long and was stopped: narrow it ({text_})"
            raise TooSlow(message) from error
        if _is_of_value(error):
            # PostgreSQL goes on with the row, which is a job's own.
            first, *_ = str(error.orig).splitlines()
            message = f"the database does not take a value: {first[:300]}"
            raise ValueRefused(message) from error
        message = f"the database does not take part: {text_}"
        raise DatabaseAway(message) from error
    except (OverflowError, UnicodeError) as error:
        # SQLite's driver finds these before it asks.
        message = f"the database does not take a value: {error}"
        raise ValueRefused(message) from error
    except TimeoutError as error:
        message = "every connection to the database is in use"
        raise DatabaseAway(message) from error
