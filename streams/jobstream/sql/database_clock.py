"""The time by the clock of the database, in epoch milliseconds: one clock for all who share it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import BigInteger, select
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

if TYPE_CHECKING:
    from sqlalchemy import ScalarSelect
    from sqlalchemy.sql.compiler import SQLCompiler

NOW_MS = {
    "postgresql": "(CAST(extract(epoch from clock_timestamp()) * 1000 AS BIGINT))",
    "sqlite": "(CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER))",
}
"""By dialect, as text."""


class now_ms(FunctionElement[int]):  # noqa: N801 - reads as the function of SQL that it is
    """The moment of the statement; in PostgreSQL that of the call, not of the transaction."""

    type = BigInteger()
    inherit_cache = True


def now_ms_once() -> ScalarSelect[int]:
    """The same, read once by a statement, so that rows can be found by an index over times."""
    return select(now_ms()).scalar_subquery()


@compiles(now_ms, "postgresql")
def _in_postgresql(_element: now_ms, _compiler: SQLCompiler, **_: Any) -> str:  # noqa: ANN401
    return NOW_MS["postgresql"]


@compiles(now_ms, "sqlite")
def _in_sqlite(_element: now_ms, _compiler: SQLCompiler, **_: Any) -> str:  # noqa: ANN401
    return NOW_MS["sqlite"]
