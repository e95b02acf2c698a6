"""A shop with a table of its own, in which tests write beside jobstream's rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import Column, Integer, MetaData, Table, Text, create_engine, func, select

from jobstream import App, Job
from jobstream.sql import create_tables

if TYPE_CHECKING:
    from sqlalchemy.engine import Engine

LIMIT_S = 120.0
own = MetaData()
orders = Table("orders", own, Column("id", Integer, primary_key=True), Column("note", Text))


@dataclass(frozen=True)
class Receipt:
    order: int
    email: str = "a@b.example"


def shop(partitions: int | None = None) -> tuple[App, Job[Receipt, None]]:
    app = App("shop", size="small")
    mail = app.queue("mail", partitions=partitions)

    @app.job(queue=mail)
    def send_receipt(args: Receipt) -> None:
        """Nothing."""

    return app, send_receipt


def made(engine: Engine) -> Engine:
    own.create_all(engine)
    create_tables(engine)
    return engine


def sqlite(path: object) -> Engine:
    # By default the driver waits for a lock for five seconds.
    return made(create_engine(f"sqlite:///{path}", connect_args={"timeout": LIMIT_S}))


def count(engine: Engine, table: Table) -> int:
    with engine.connect() as connection:
        return connection.execute(select(func.count()).select_from(table)).scalar_one()
