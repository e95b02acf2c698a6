"""The read side: how fast it folds, how fresh its rows are, and pages at a million jobs."""

from __future__ import annotations

import statistics
import tempfile
import threading
import time
import uuid
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests.bench.report import Figure

from jobstream import App
from jobstream.kafka.client.admin import Admin
from jobstream.operate.view import AppView
from jobstream.testing.memory_record import MemoryRecord
from jobstream.topics.apply import apply, survey
from jobstream.views.batch import Run
from jobstream.views.changes import Where
from jobstream.views.database import opened
from jobstream.views.migrating import migrate
from jobstream.views.record_fold import Fold
from jobstream.views.role import ViewsRole
from jobstream.views.view_answers import JobFilter
from jobstream.views.views_reader import Views
from jobstream.views.views_retention import Keep
from jobstream.views.writing import Writer
from jobstream_processors.ports import Outgoing
from jobstream_schemas import Catalogue, JobCodec, Meta, Row, encode_row, row_key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.bench.rig import Rig

BATCH = 2_000
QUERY_GOAL_S = 0.2
FRESH_GOAL_S = 1.0
RATE = 500
TENANTS = 1_000


@dataclass(frozen=True)
class Mail:
    to: str
    order_id: int
    amount: float


CODEC: JobCodec[Mail] = JobCodec(Mail, "send")
COPIES = Where("bench.mail", 0, "copies", "queue", "mail", "")
ROWS = Where("bench.mail.dedup", 0, "rows", "dedup", "mail", "")


def measure(rig: Rig) -> Iterator[Figure]:
    """A log made in memory folded into SQLite, every query over it, then the real way at a rate."""
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{folder}/views.sqlite3"
        jobs = rig.size(1_000_000, 20_000)
        yield from _folded(url, jobs)
        yield from _asked(url, jobs)
    yield _fresh(rig)


def _folded(url: str, jobs: int) -> Iterator[Figure]:
    engine = opened(url)
    migrate(engine)
    catalogue = Catalogue()
    catalogue.register(CODEC.schema)
    writer = Writer(engine, Fold(catalogue), "bench")
    wall = cpu = 0.0
    for first in range(0, jobs, BATCH):
        copies, rows = _made(first, BATCH, jobs)
        stop = first + BATCH
        began, used = time.perf_counter(), time.process_time()
        writer.write([Run(COPIES, first, stop, copies, stop, 0)])
        writer.write([Run(ROWS, first, stop, rows, stop, 0)])
        wall += time.perf_counter() - began
        cpu += time.process_time() - used
    engine.dispose()
    note = f"{1e6 * cpu / jobs:.0f} µs of CPU a job, one process; two records a job"
    yield Figure("views: jobs folded into SQLite", jobs / wall, "jobs/s", note=note)
    size = Path(url.removeprefix("sqlite:///")).stat().st_size
    yield Figure("views: the database", size / jobs, "bytes a job")


def _made(first: int, count: int, jobs: int) -> tuple[list[MemoryRecord], list[MemoryRecord]]:
    """One in fifty is dead, one in a hundred waits, a quarter has a tenant; the last ends now."""
    copies, rows = [], []
    began_ms = int(time.time() * 1000) - 2 * jobs
    for n in range(first, first + count):
        job_id, at_ms = str(uuid.uuid4()), began_ms + 2 * n
        tenant = f"t{n % TENANTS}" if n % 4 == 0 else None
        event = CODEC.encode(
            Meta(job_id, at_ms, "host", fair_key=tenant), Mail(f"user{n}@example.com", n, 9.5)
        )
        copy = Outgoing(COPIES.topic, job_id.encode(), event, 0, None)
        copies.append(MemoryRecord(copy, (0, n), at_ms, 0))
        if n % 100 != 7:
            state = "dead" if n % 50 == 0 else "done"
            fingerprint = CODEC.schema.fingerprint
            row = Row("job", job_id, state, 0, 0, 1, b"8 bytes.", fingerprint, at_ms + 5, 0, "x")
            told = Outgoing(ROWS.topic, row_key(row), encode_row(row), 0, None)
            rows.append(MemoryRecord(told, (0, n), at_ms + 5, 0))
    return copies, rows


def _asked(url: str, jobs: int) -> Iterator[Figure]:
    with closing(Views(url, timeout_s=60)) as views:
        some = views.jobs(limit=1).rows[0]
        deep = views.jobs(JobFilter(states=("done",)), limit=500).next
        since = some.at_ms - 600_000
        questions: dict[str, Callable[[], object]] = {
            "the newest": views.jobs,
            "by state": lambda: views.jobs(JobFilter(states=("dead",))),
            "by type and state": lambda: views.jobs(JobFilter(types=("send",), states=("done",))),
            "a later page": lambda: views.jobs(JobFilter(states=("done",)), after=deep),
            "by tenant": lambda: views.jobs(JobFilter(tenant="t8")),
            "dead ones of a tenant": lambda: views.jobs(JobFilter(tenant="t0", states=("dead",))),
            "a text that is there": lambda: views.jobs(JobFilter(text=f"user{jobs - 9}@")),
            "a text that is not": lambda: views.jobs(JobFilter(text="nobody at all")),
            "of ten minutes": lambda: views.jobs(JobFilter(since_ms=since, queues=("mail",))),
            "count by state": lambda: views.count(JobFilter(states=("dead",))),
            "count of ten minutes": lambda: views.count(JobFilter(since_ms=since)),
            "count of a text": lambda: views.count(JobFilter(text="user7")),
            "one job": lambda: views.job(some.id),
            "totals": views.totals,
            "types of an hour": views.types,
            "dead groups": views.dead_groups,
            "freshness": views.freshness,
        }
        for name, ask in questions.items():
            took = []
            for _ in range(5):
                began = time.perf_counter()
                ask()
                took.append(time.perf_counter() - began)
            worst = max(took)
            yield Figure(
                f"views: {name}, of {jobs:,} jobs", 1000 * statistics.median(took), "ms",
                beside=f"slowest of five {1000 * worst:.0f} ms", goal="< 200 ms",
                met=worst < QUERY_GOAL_S,
            )  # fmt: skip


def _fresh(rig: Rig) -> Figure:
    """From an acknowledged enqueue to the row that can be read, at a steady rate."""
    with tempfile.TemporaryDirectory() as folder:
        name = f"bench-views-{uuid.uuid4().hex[:6]}"
        app = App(name, bootstrap_servers=rig.bootstrap_servers, state_dir=folder)
        queue = app.queue("mail")
        job = app.job(queue=queue, name="send")(_send)
        admin = Admin(app.settings)
        apply(survey(admin, name, [queue], app.settings, schedules=False), admin)
        url = f"sqlite:///{folder}/views.sqlite3"
        engine = opened(url)
        migrate(engine)
        ready = threading.Event()
        role = ViewsRole(AppView(name, app.settings), engine, Keep())
        thread = threading.Thread(target=role.run, args=(ready.set,))
        thread.start()
        ready.wait(60)
        late = _lateness(job.enqueue_many, url, rig.size(30, 5) * RATE)
        role.close()
        thread.join(30)
        engine.dispose()
    late.sort()
    p99 = late[int(0.99 * len(late))]
    note = f"median {1000 * statistics.median(late):.0f} ms, {len(late):,} jobs"
    return Figure(
        f"views: enqueue to row at {RATE}/s, p99", 1000 * p99, "ms", goal="≤ 1 s",
        met=p99 <= FRESH_GOAL_S, note=note,
    )  # fmt: skip


async def _send(mail: Mail) -> None:
    del mail


def _lateness(enqueue: Callable[[list[Mail]], object], url: str, total: int) -> list[float]:
    """Ten jobs every 20 ms, and when the sum of all rows had come to include each."""
    enqueued: list[float] = []

    def produce() -> None:
        pause, begun = threading.Event(), time.perf_counter()
        for first in range(0, total, 10):
            enqueue([Mail("a@b", n, 1.0) for n in range(first, first + 10)])
            enqueued.extend([time.perf_counter()] * 10)
            pause.wait(max(0.0, begun + (first + 10) / RATE - time.perf_counter()))

    thread = threading.Thread(target=produce)
    thread.start()
    late: list[float] = []
    pause = threading.Event()
    with closing(Views(url)) as views:
        while len(late) < total:
            seen = sum(each.n for each in views.totals())
            now = time.perf_counter()
            late += [
                max(0.0, now - enqueued[n]) for n in range(len(late), min(seen, len(enqueued)))
            ]
            pause.wait(0.01)
    thread.join()
    return late
