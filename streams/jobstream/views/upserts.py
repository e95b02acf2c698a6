"""Inserts that replace or add, as SQLite and PostgreSQL say it alike."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import and_, bindparam, delete, func
from sqlalchemy.dialects import postgresql, sqlite

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from sqlalchemy import ColumnElement, Connection, Table

    Condition = Callable[[Any], ColumnElement[bool]]

CHUNK = 500
"""Values in one list of a statement."""


def chunks(values: Sequence[Any]) -> Iterator[Sequence[Any]]:
    """The values, few enough at a time for one statement."""
    for at in range(0, len(values), CHUNK):
        yield values[at : at + CHUNK]


def insert_into(connection: Connection, table: Table) -> Any:  # noqa: ANN401 - two dialects' classes
    """The dialect's own insert."""
    kind = postgresql if connection.dialect.name == "postgresql" else sqlite
    return kind.insert(table)


def insert_new(connection: Connection, table: Table, rows: Sequence[dict[str, Any]]) -> None:
    """Insert those rows whose key is not there."""
    if rows:
        connection.execute(insert_into(connection, table).on_conflict_do_nothing(), rows)


def upsert(
    connection: Connection,
    table: Table,
    rows: Sequence[dict[str, Any]],
    *,
    add: tuple[str, ...] = (),
    where: Condition | None = None,
) -> None:
    """Insert the rows or put them in the place of those with their key.

    Columns in `add` grow by what is given; with `where` a row that it refuses stays as it is. All
    rows have the same columns.
    """
    if not rows:
        return
    keys = [column.name for column in table.primary_key]
    made = insert_into(connection, table)
    new = made.excluded
    values = {
        name: table.c[name] + new[name] if name in add else new[name]
        for name in rows[0]
        if name not in keys
    }
    condition = where(new) if where is not None else None
    made = made.on_conflict_do_update(index_elements=keys, set_=values, where=condition)
    connection.execute(made, rows)


def kept(table: Table, column: str) -> Condition:
    """The condition of an upsert that never lowers a column."""
    return lambda new: new[column] >= table.c[column]


def delete_by(connection: Connection, table: Table, keys: Sequence[dict[str, Any]]) -> None:
    """Delete the rows that have these values."""
    if keys:
        names = [(name, f"its_{name}") for name in keys[0]]
        made = delete(table).where(and_(*(table.c[n] == bindparam(p) for n, p in names)))
        connection.execute(made, [{p: key[n] for n, p in names} for key in keys])


def larger(connection: Connection, one: Any, other: Any) -> Any:  # noqa: ANN401 - expressions
    """The larger of two values."""
    if connection.dialect.name == "postgresql":
        return func.greatest(one, other)
    return func.max(one, other)
