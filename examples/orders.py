"""The orders of a shop in SQLite, or in PostgreSQL by its URL in SHOP_DATABASE."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from jobstream.sql import create_tables

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

metadata = sa.MetaData()
orders = sa.Table(
    "shop_orders",
    metadata,
    sa.Column("id", sa.String(128), primary_key=True),
    sa.Column("email", sa.String(128), nullable=False),
    sa.Column("mailed_by", sa.String(64), nullable=True),
)


def engine() -> Engine:
    """One for the process that calls it; nothing crosses a fork."""
    return sa.create_engine(os.environ["SHOP_DATABASE"], pool_pre_ping=True)


def create() -> None:
    """Make the tables, jobstream's too, before anything else: `python -m examples.orders`."""
    with engine().begin() as connection:
        if connection.dialect.name == "sqlite":
            connection.exec_driver_sql("pragma journal_mode=wal")
        metadata.create_all(connection)
        create_tables(connection)


def save(connection: Connection, order_id: str, email: str) -> None:
    """Keep an order; one that is kept already stays as it is."""
    known = connection.execute(sa.select(orders.c.id).where(orders.c.id == order_id)).first()
    if known is None:
        row = {"id": order_id, "email": email, "mailed_by": None}
        connection.execute(orders.insert().values(row))


def mark_mailed(connection: Connection, order_id: str, job_id: str) -> None:
    """Say by which job the receipt was sent; the same again changes nothing."""
    changed = orders.update().where(orders.c.id == order_id).values(mailed_by=job_id)
    connection.execute(changed)


def find(connection: Connection, order_id: str) -> dict[str, Any] | None:
    """The order as JSON has it."""
    row = connection.execute(sa.select(orders).where(orders.c.id == order_id)).mappings().first()
    return dict(row) if row is not None else None


def newest(connection: Connection) -> list[dict[str, Any]]:
    """Twenty orders, for a page."""
    return [dict(row) for row in connection.execute(sa.select(orders).limit(20)).mappings()]


if __name__ == "__main__":
    create()
