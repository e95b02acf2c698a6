"""Jobs and your own database in one transaction. Needs the extra `jobstream[sql]`.

`metadata` and `create_tables` give the tables, in the user's own database. Nothing here opens a
connection of its own: each call gets the user's.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from jobstream.errors import ConfigError

if TYPE_CHECKING:
    from jobstream.sql.schema import create_tables, metadata

__all__ = ["create_tables", "metadata"]

NEEDS = "jobstream.sql needs one package more: pip install 'jobstream[sql]'"
_HOMES = {"create_tables": "schema", "metadata": "schema"}


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
