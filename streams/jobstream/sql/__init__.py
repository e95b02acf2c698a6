"""Jobs and your own database in one transaction. Needs the extra `jobstream[sql]`.

`metadata` and `create_tables` give the tables, in the user's own database. Nothing here opens a
connection of its own: each call gets the user's.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from jobstream.errors import ConfigError

if TYPE_CHECKING:
    from jobstream.sql.errors import (
        NotInTransaction,
        OnceUnasked,
        Superseded,
        TablesMissing,
        WrongDatabase,
    )
    from jobstream.sql.inbox import once
    from jobstream.sql.job_rows import WrittenJob, aenqueue_in, enqueue_in
    from jobstream.sql.key_store import SqlKeyStore
    from jobstream.sql.schema import create_tables, metadata
    from jobstream.sql.sweeping import sweep_inbox

__all__ = [
    "NotInTransaction",
    "OnceUnasked",
    "SqlKeyStore",
    "Superseded",
    "TablesMissing",
    "WrittenJob",
    "WrongDatabase",
    "aenqueue_in",
    "create_tables",
    "enqueue_in",
    "metadata",
    "once",
    "sweep_inbox",
]

NEEDS = "jobstream.sql needs one package more: pip install 'jobstream[sql]'"
_HOMES = {
    "aenqueue_in": "job_rows",
    "create_tables": "schema",
    "enqueue_in": "job_rows",
    "metadata": "schema",
    "NotInTransaction": "errors",
    "once": "inbox",
    "OnceUnasked": "errors",
    "SqlKeyStore": "key_store",
    "Superseded": "errors",
    "sweep_inbox": "sweeping",
    "TablesMissing": "errors",
    "WrongDatabase": "errors",
    "WrittenJob": "job_rows",
}


def __getattr__(name: str) -> Any:  # noqa: ANN401 - as the language has it
    """Load a name at its first use; raises ConfigError where SQLAlchemy is not installed."""
    home = _HOMES.get(name)
    if home is None:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    try:
        return getattr(import_module(f"{__name__}.{home}"), name)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "sqlalchemy":
            raise
        raise ConfigError(NEEDS) from error
