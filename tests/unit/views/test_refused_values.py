"""One record whose values a database does not take: the others are folded, and it is counted."""

from __future__ import annotations

import random
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import select
from tests.harness.folded import logs_of, made, sqlite_in, whole
from tests.harness.postgres import Postgres

from jobstream import App
from jobstream.testing import memory
from jobstream.topics.names import schedules_topic
from jobstream.views import database
from jobstream.views.db_tables import entries, jobs, places
from jobstream.views.stored_text import INDEXED_BYTES_MAX, indexed, indexed_bytes
from jobstream.views.view_answers import JobFilter
from jobstream.views.views_reader import Views
from jobstream_processors.ports import Outgoing

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sqlalchemy import Engine

    from jobstream.testing.memory_broker import MemoryBroker

LONG = "".join(random.Random(4).choices("abcdefghijklmnopqrstuvwxyz0123456789", k=8_000))
"""Nothing that a database could make shorter."""
REFUSES = {
    "sqlite": "CREATE TRIGGER refuses BEFORE INSERT ON jobs WHEN NEW.parent_id = 'bad' "
    "BEGIN SELECT RAISE(ABORT, 'not that one'); END",
    "postgresql": "ALTER TABLE jobs ADD CONSTRAINT refuses CHECK (parent_id <> 'bad')",
}


@dataclass(frozen=True)
class Order:
    number: int


@pytest.fixture(params=["sqlite", "postgresql"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    with ExitStack() as stack:
        if request.param == "sqlite":
            url = sqlite_in(tmp_path)
        else:
            url = stack.enter_context(Postgres()).url
        found = database.opened(url)
        stack.callback(found.dispose)
        yield found


def played(count: int, **strange: str) -> MemoryBroker:
    """The log of jobs that ran, and in their midst one that another client wrote."""
    app = App("shop", size="small")

    @app.job(queue=app.queue("orders", partitions=1))
    async def ship(order: Order) -> None:
        del order

    with memory(app) as shop:
        ship.enqueue_many([Order(n) for n in range(count)])
        shop.run_for("5s")
        topic = app.plan(app.queues["orders"]).topic
        meta = ship.codec.decode(shop.broker.records(topic, 0)[0].value() or b"").meta
        changed: dict[str, Any] = {"id": "01a22d23-4005-7028-b056-e94ae0c0ffff", **strange}
        value = ship.codec.encode(meta._replace(**changed), Order(-1))
        shop.broker.publish([Outgoing(topic, b"strange", value, 0)])
        schedules = schedules_topic("shop")
        if schedules not in shop.broker.topics():
            shop.broker.create_topic(schedules, 1, compacted=True)
        shop.broker.publish([Outgoing(schedules, LONG.encode(), b"x", 0)])
        ship.enqueue_many([Order(n) for n in range(count)])
        shop.run_for("30s")
        return shop.broker


def test_texts_that_no_index_holds_are_cut_and_found(engine: Engine) -> None:
    broker = played(3, order_key=LONG, parent_id=LONG, fair_key=LONG)
    writer = made(engine, broker, "shop")

    writer.write([whole(*each) for each in logs_of(broker).items()])

    with engine.connect() as connection:
        keys = set(connection.execute(select(entries.c.key)).scalars())
    assert indexed_bytes(LONG.encode()) in keys
    with Views(engine.url.render_as_string(hide_password=False)) as views:
        assert views.count().n == 7
        for wanted in (JobFilter(key=LONG), JobFilter(parent=LONG), JobFilter(tenant=LONG)):
            assert len(views.jobs(wanted).rows) == 1


def test_a_record_that_is_refused_is_counted_and_the_others_are_folded(engine: Engine) -> None:
    broker = played(20, parent_id="bad")
    writer = made(engine, broker, "shop")
    with engine.begin() as connection:
        connection.exec_driver_sql(REFUSES[engine.dialect.name])
    runs = [whole(*each) for each in logs_of(broker).items()]

    written = writer.write(runs)

    assert not written.misplaced
    with engine.connect() as connection:
        assert len(connection.execute(select(jobs.c.id)).all()) >= 40
        nexts = {row.topic: row.next for row in connection.execute(select(places))}
    assert nexts["shop.orders"] == next(
        run.stop for run in runs if run.where.topic == "shop.orders"
    )
    with Views(engine.url.render_as_string(hide_password=False)) as views:
        told = {each.topic: each for each in views.unread()}
    assert told["shop.orders"].n == 1
    assert "does not take a value" in told["shop.orders"].last_reason
    assert writer.write(runs).records == 0, "it is over"


@pytest.mark.parametrize("text", ["a" * 5_000, "\u20ac" * 5_000, "\0" * 5_000, "a" * 999])
def test_an_indexed_text_is_short_and_tells_one_from_another(text: str) -> None:
    assert len(indexed(text).encode()) <= INDEXED_BYTES_MAX
    assert indexed(text + "1") != indexed(text + "2")
    assert indexed(indexed(text)) == indexed(text)
