"""A shop with an outbox on SQLite and the broker in memory, and relays between them."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy.engine import Engine
from sqlalchemy.orm import Session
from tests.harness.relaying import running
from tests.harness.waiting import wait_until
from tests.unit.sql.ledger import Receipt, count

from jobstream import App, Job
from jobstream.sql import enqueue_in
from jobstream.sql.opening import opened
from jobstream.sql.outbox_rows import OutboxRows
from jobstream.sql.relay import Relay
from jobstream.sql.row_sending import RowSender
from jobstream.sql.schema import outbox
from jobstream.sql.sweeping import lives_ms
from jobstream.testing import MemoryJobs, MemorySink

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Unpack

    from jobstream.job import ComposeOptions

LIMIT_S = 120.0


class Clock:
    """Of pauses, by hand."""

    def __init__(self) -> None:
        self.now_s = 1_000.0

    def __call__(self) -> float:
        return self.now_s


@dataclass
class Bench:
    """A shop with a database, a broker in memory, and relays to start."""

    app: App
    job: Job[Receipt, None]
    engine: Engine
    jobs: MemoryJobs
    clock: Clock

    def write(self, *orders: int, **options: Unpack[ComposeOptions]) -> None:
        with Session(self.engine) as session, session.begin():
            for order in orders:
                enqueue_in(session, self.job, Receipt(order), **options)

    def relay(self, engine: Engine | None = None) -> Relay:
        engine = engine or self.engine
        sender = RowSender(
            self.app, MemorySink(self.jobs.broker), self.app.client.transport, self.clock
        )
        rows = OutboxRows(engine, self.app.name)
        return Relay(engine, rows, sender, lives_ms(self.app))

    @contextmanager
    def relaying(self) -> Iterator[Relay]:
        with (
            opened(str(self.engine.url)) as engine,
            running(self.relay(engine), LIMIT_S) as relay,
        ):
            yield relay

    def left(self) -> int:
        return count(self.engine, outbox)

    def wait_for_left(self, rows: int) -> None:
        wait_until(lambda: self.left() == rows, f"{rows} rows are left", limit_s=LIMIT_S)

    def published(self) -> list[int]:
        return [job.args.order for job in self.jobs.seen(self.job)]

    def in_log(self) -> list[int]:
        records = self.jobs.broker.records(f"{self.app.name}.mail")
        return [self.job.codec.args(record.value() or b"").order for record in records]


def spoil(bench: Bench, order: int, **columns: object) -> None:
    """Change the row with that order in the table, as no code of ours does."""
    with bench.engine.begin() as connection:
        rows = connection.execute(outbox.select()).all()
        (n,) = [row.n for row in rows if bench.job.codec.args(row.value).order == order]
        connection.execute(outbox.update().where(outbox.c.n == n).values(**columns))
