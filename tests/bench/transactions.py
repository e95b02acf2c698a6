"""Outbox and inbox on PostgreSQL: rows/s of a relay, a row's way to Kafka, the cost of calls."""

from __future__ import annotations

import multiprocessing
import statistics
import time
import uuid
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import create_engine, func, select, text
from sqlalchemy.orm import Session
from tests.bench.report import Figure, not_measured
from tests.harness.postgres import Postgres
from tests.harness.relaying import running

from jobstream import App, Job
from jobstream.kafka.client.admin import Admin
from jobstream.kafka.client.broker_clock import BrokerClock
from jobstream.kafka.follow.topic_reader import KafkaLog
from jobstream.kafka.produce.sink import KafkaSink
from jobstream.sql import create_tables, enqueue_in, once
from jobstream.sql.opening import opened
from jobstream.sql.outbox_rows import OutboxRows
from jobstream.sql.relay import Relay
from jobstream.sql.row_sending import RowSender
from jobstream.sql.schema import outbox
from jobstream.sql.sweeping import lives_ms
from jobstream.testing import context
from jobstream.topics.apply import apply, survey

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Engine
    from tests.bench.rig import Rig

RATE_GOAL = 5_000
LAG_GOAL_MS = 500
RATE = 500
IN_ONE = 500
"""Rows of a transaction where only their number matters."""
WAIT_S = 300.0


@dataclass(frozen=True)
class Mail:
    order_id: int


def measure(rig: Rig) -> Iterator[Figure]:
    """A backlog published, rows at a rate, then the calls of a service and of a handler."""
    if not list(Path("/usr/lib/postgresql").glob("*/bin/initdb")):
        yield not_measured("outbox", "no PostgreSQL on this machine")
        return
    with Postgres() as server:
        engine = create_engine(server.url.replace("postgresql:", "postgresql+psycopg:"))
        create_tables(engine)
        app, job = _shop(rig)
        try:
            yield _written(engine, job, rig.size(50_000, 5_000))
            yield _published(engine, server.url, app)
            yield _late(engine, server.url, app, job, rig.size(30, 5))
            yield _marked(engine, job, rig.size(2_000, 300))
        finally:
            app.close()
            engine.dispose()


def _declared(name: str, servers: str) -> tuple[App, Job[Mail, None]]:
    app = App(name, bootstrap_servers=servers)

    @app.job(queue=app.queue("mail", partitions=12))
    def send(mail: Mail) -> None:
        """Nothing."""

    return app, send


def _shop(rig: Rig) -> tuple[App, Job[Mail, None]]:
    app, send = _declared(f"bench-{uuid.uuid4().hex[:6]}", rig.bootstrap_servers)
    queues = app.queues.values()
    apply(survey(Admin(app.settings), app.name, queues, app.settings), Admin(app.settings))
    return app, send


@contextmanager
def _relaying(url: str, app: App) -> Iterator[Relay]:
    sink = KafkaSink(app.settings.client_options(), BrokerClock())
    with opened(url) as engine, closing(sink):
        sender = RowSender(app, sink, app.client.transport)
        relay = Relay(engine, OutboxRows(engine, app.name), sender, lives_ms(app))
        with running(relay, WAIT_S):
            yield relay


def _written(engine: Engine, job: Job[Mail, None], rows: int) -> Figure:
    began = time.perf_counter()
    for first in range(0, rows, IN_ONE):
        with Session(engine) as session, session.begin():
            for number in range(first, first + IN_ONE):
                enqueue_in(session, job, Mail(number), key=f"k{number % 1_000}")
    each_us = (time.perf_counter() - began) / rows * 1e6
    note = f"{rows:,} rows, {IN_ONE} in a transaction, one statement each"
    return Figure("enqueue_in, of a call", each_us, "µs", note=note)


def _published(engine: Engine, url: str, app: App) -> Figure:
    rows = _count(engine)
    began, used = time.perf_counter(), time.process_time()
    with _relaying(url, app) as relay:
        # Its own count costs nothing; to count rows would cost the database more than they do.
        while relay.published < rows:
            time.sleep(0.005)
        took = time.perf_counter() - began
        cpu_us = (time.process_time() - used) / rows * 1e6
    rate = rows / took
    return Figure(
        "outbox: rows a relay publishes", rate, "rows/s",
        beside=f"{cpu_us:.0f} µs of its CPU a row", goal=f"≥ {RATE_GOAL:,}", met=rate >= RATE_GOAL,
        note="PostgreSQL without fsync, one relay, from its start to an empty outbox",
    )  # fmt: skip


def _late(engine: Engine, url: str, app: App, job: Job[Mail, None], seconds: int) -> Figure:
    rows, first = RATE * seconds, 10_000_000
    told: multiprocessing.Queue[float] = (here := multiprocessing.get_context("spawn")).Queue()
    servers = app.settings.bootstrap_servers
    writer = here.Process(target=_write, args=(app.name, servers, url, first, rows, told))
    with _relaying(url, app):
        writer.start()
        committed_ms = {first + number: told.get(timeout=WAIT_S) for number in range(rows)}
        writer.join(WAIT_S)
        _wait_until_empty(engine)
    lags = sorted(at - committed_ms[n] for n, at in _appended(app, job) if n in committed_ms)
    p99 = lags[len(lags) * 99 // 100]
    reached = rows / (max(committed_ms.values()) - min(committed_ms.values())) * 1000
    return Figure(
        f"outbox: commit to Kafka at {RATE} rows/s, 99 %", p99, "ms",
        beside=f"median {statistics.median(lags):.0f} ms",
        goal=f"≤ {LAG_GOAL_MS} ms", met=p99 <= LAG_GOAL_MS,
        note=f"{len(lags):,} rows, a transaction each, by one process at {reached:.0f} a second",
    )  # fmt: skip


def _write(  # noqa: PLR0917 - the arguments of a process
    name: str, servers: str, url: str, first: int, rows: int, told: multiprocessing.Queue[float]
) -> None:
    """Commit rows at the rate, and tell when each was committed."""
    app, job = _declared(name, servers)
    engine = create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    began = time.perf_counter()
    for number in range(rows):
        ahead = number / RATE - (time.perf_counter() - began)
        if ahead > 0:
            time.sleep(ahead)
        with Session(engine) as session, session.begin():
            enqueue_in(session, job, Mail(first + number))
        told.put(time.time() * 1000)
    engine.dispose()
    app.close()


def _marked(engine: Engine, job: Job[Mail, None], jobs: int) -> Figure:
    bare, marked = [], []
    for _ in range(jobs):
        with Session(engine) as session, session.begin():
            session.execute(text("SELECT 1"))
            began = time.perf_counter()
            session.execute(text("SELECT 1"))
            bare.append(time.perf_counter() - began)
            began = time.perf_counter()
            with once(session, context(job, fencing_token=7)) as first:
                marked.append(time.perf_counter() - began)
                assert first
    one, bare_us = statistics.median(marked) * 1e6, statistics.median(bare) * 1e6
    beside = f"an empty query {bare_us:.0f} µs"
    return Figure("once: its one round trip", one, "µs", beside=beside)


def _appended(app: App, job: Job[Mail, None]) -> Iterator[tuple[int, int]]:
    log, plan = KafkaLog(app.settings.client_options()), app.plans()["mail"]
    for partition in range(plan.partitions):
        place = (plan.topic, partition)
        for batch in log.read(place, *log.span(place)):
            for record in batch:
                yield job.codec.args(record.value() or b"").order_id, record.timestamp()[1]


def _count(engine: Engine) -> int:
    with engine.connect() as connection:
        return connection.execute(select(func.count()).select_from(outbox)).scalar_one()


def _wait_until_empty(engine: Engine) -> None:
    until = time.monotonic() + WAIT_S
    while _count(engine):
        if time.monotonic() > until:
            message = f"{_count(engine)} rows are left after {WAIT_S:g} s"
            raise TimeoutError(message)
        time.sleep(0.02)
