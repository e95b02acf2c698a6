"""Operators' orders on a real Kafka: what workers leave, stop and take up again, and until when."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
import uuid
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from tests.harness.served import Served
from tests.harness.waiting import wait_until

from jobstream import App, Backoff, ConfigError, Context
from jobstream.observe.observed import worker_name
from jobstream.roles.process import Roles
from jobstream_processors.core.duration import to_ms
from jobstream_processors.core.headers import Carried, render
from jobstream_schemas import Meta

if TYPE_CHECKING:
    import logging
    from collections.abc import Iterator
    from pathlib import Path

    from jobstream.broker.embedded import EmbeddedKafka

pytestmark = pytest.mark.kafka
WAIT_S = 180.0
ALLOWED = threading.Event()
"""Set while jobs may start; a start without it is a defect."""
TOO_EARLY: list[str] = []
BEGUN: dict[str, threading.Event] = {}


@dataclass(frozen=True)
class Work:
    name: str


def work(args: Work) -> None:
    if not ALLOWED.is_set():
        TOO_EARLY.append(args.name)


def free(args: Work) -> None:
    begun(args)


def begun(args: Work) -> None:
    BEGUN.setdefault(args.name, threading.Event()).set()


async def waits(args: Work) -> None:
    begun(args)
    await asyncio.Event().wait()


def asks(args: Work, ctx: Context) -> None:
    begun(args)
    while not ctx.is_cancelled:
        time.sleep(0.01)  # work
    message = "not wanted any more"
    raise RuntimeError(message)


def computes(args: Work) -> None:
    sys.stdout.write(f"computes {args.name}\n")
    sys.stdout.flush()
    threading.Event().wait()


@pytest.fixture(scope="module")
def served(kafka: EmbeddedKafka, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder: Path = tmp_path_factory.mktemp("control")
    app = App(
        f"control-{uuid.uuid4().hex[:8]}",
        bootstrap_servers=kafka.bootstrap_servers,
        state_dir=folder,
        replication=1,
        drain="5s",
    )
    paused, other = app.queue("paused", partitions=2), app.queue("free", partitions=1)
    once = Backoff(attempts=1)
    app.job(queue=paused, retry=once)(work)
    for handler in (free, waits, asks):
        app.job(queue=other, retry=once, timeout="10m")(handler)
    app.job(queue=other, retry=once, timeout="10m", executor="process")(computes)
    made = Served(app)
    yield made
    made.close()


@pytest.fixture
def shop(served: Served, caplog: pytest.LogCaptureFixture) -> Iterator[Served]:
    """Workers that run, and nothing in force; nothing may have started too early."""
    caplog.set_level("INFO", "jobstream.worker")
    ALLOWED.clear()
    served.start()
    yield served
    for entry in served.app.control.entries():
        served.app.control.lift(entry.kind, entry.subject)
    served.stop()
    assert TOO_EARLY == []


def goes_on(shop: Served) -> None:
    """A job of the other queue runs from end to end: so the workers are there, and have looked."""
    sent = shop.app.jobs["free"].enqueue(Work(uuid.uuid4().hex))
    assert shop.end_of(sent.job_id) == "done"


def measured(text: str) -> None:
    """Shown by `pytest -s`; a bound would only be a flake."""
    sys.stdout.write(f"{text}\n")


def heard(caplog: pytest.LogCaptureFixture, field: str, value: object) -> None:
    """Wait until the workers have been told of an order."""
    wait_until(
        lambda: any(getattr(record, field, None) == value for record in caplog.records),
        f"the workers hear of {field}={value}",
        limit_s=WAIT_S,
    )


@contextmanager
def another(app: App) -> Iterator[None]:
    """A second worker of the same group."""
    roles = Roles(app)
    thread = threading.Thread(target=roles.run, name="another", daemon=True)
    thread.start()
    yield
    roles.stop()
    wait_until(lambda: not thread.is_alive(), "the other worker has left", limit_s=WAIT_S)


def test_a_paused_queue_waits_while_its_partitions_go_from_worker_to_worker(
    shop: Served, caplog: pytest.LogCaptureFixture
) -> None:
    app = shop.app
    goes_on(shop)
    entry = app.control.pause(queue="paused", why="deploy", who="ann@laptop", for_="5m")
    assert (entry.kind, entry.subject, entry.who) == ("pause_queue", "paused", "ann@laptop")
    assert (entry.expires_at - entry.at).total_seconds() == 300
    assert app.control.entries() == [entry]
    told = time.monotonic()
    heard(caplog, "queues", ["paused"])
    measured(f"from the acknowledged pause until it is obeyed: {time.monotonic() - told:.2f} s")

    sent = [app.jobs["work"].enqueue(Work(str(number))) for number in range(4)]
    goes_on(shop)
    with another(app):
        # Every partition goes to the other worker, and from it to one that is started anew.
        shop.stop()
        goes_on(shop)
        shop.start()
    goes_on(shop)

    ALLOWED.set()
    told = time.monotonic()
    app.control.resume(queue="paused")
    assert {shop.end_of(job.job_id) for job in sent} == {"done"}
    measured(f"from the acknowledged resume to the last row: {time.monotonic() - told:.2f} s")


def test_a_pause_ends_by_the_brokers_time_without_anybody(shop: Served) -> None:
    app = shop.app
    goes_on(shop)
    shop.stop()
    entry = app.control.pause(queue="paused", for_="3s")
    sent = app.jobs["work"].enqueue(Work("late"))
    ALLOWED.set()
    shop.start()

    assert shop.end_of(sent.job_id) == "done"
    rows = shop.records(app.plans()["paused"].dedup, 2)
    (row,) = [row for row in rows if sent.job_id.encode() in (row.key() or b"")]
    assert row.timestamp()[1] >= entry.expires_at.timestamp() * 1_000
    assert app.control.entries() == []


def test_quiet_workers_take_nothing_new_and_finish_what_they_have(
    shop: Served, caplog: pytest.LogCaptureFixture
) -> None:
    app = shop.app
    running = app.jobs["waits"].enqueue(Work("quiet"))
    wait_until(lambda: "quiet" in BEGUN, "it runs", limit_s=WAIT_S)
    app.control.quiet("*", why="heap dump")
    heard(caplog, "quiet", value=True)
    sent = app.jobs["work"].enqueue(Work("after"))
    app.control.cancel(running.job_id)
    assert shop.end_of(running.job_id) == "cancelled"

    ALLOWED.set()
    app.control.unquiet("*")
    assert shop.end_of(sent.job_id) == "done"


def test_drained_workers_end_their_jobs_and_leave_and_stay_when_they_come_back(
    shop: Served, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "jobstream.roles")
    app = shop.app
    running = app.jobs["waits"].enqueue(Work("drain"))
    wait_until(lambda: "drain" in BEGUN, "it runs", limit_s=WAIT_S)

    before = len(logged(caplog, "worker_started"))
    with another(app):
        wait_until(
            lambda: len(logged(caplog, "worker_started")) > before, "it joins", limit_s=WAIT_S
        )
        app.control.drain(worker_name(), why="a leak", who="ann@laptop")
        # Both have that name here, and each is to leave.
        wait_until(lambda: len(logged(caplog, "draining")) == 2, "both drain", limit_s=WAIT_S)
        app.control.cancel(running.job_id)
        shop.left()
    assert shop.end_of(running.job_id) == "cancelled"
    (told,) = {(vars(each)["who"], vars(each)["why"]) for each in logged(caplog, "draining")}
    assert told == ("ann@laptop", "a leak")

    shop.start()
    goes_on(shop)
    assert [entry.kind for entry in app.control.entries()] == ["drain", "cancel"]
    app.control.drain("no-such-host:*")
    goes_on(shop)
    assert len(logged(caplog, "draining")) == 2


def logged(caplog: pytest.LogCaptureFixture, event: str) -> list[logging.LogRecord]:
    return [record for record in caplog.records if record.message == event]


@pytest.mark.parametrize("job", ["waits", "asks"])
def test_a_running_job_is_stopped_and_ends_as_cancelled(shop: Served, job: str) -> None:
    app = shop.app
    sent = app.jobs[job].enqueue(Work(job))
    wait_until(lambda: job in BEGUN, "it runs", limit_s=WAIT_S)
    told = time.monotonic()

    app.control.cancel(sent.job_id, why="sent to the wrong customers")

    assert shop.end_of(sent.job_id) == "cancelled"
    measured(f"{job}: from the acknowledged cancel to its row {time.monotonic() - told:.2f} s")
    assert shop.letters() == []


def test_a_child_process_is_killed(shop: Served, capfd: pytest.CaptureFixture[str]) -> None:
    app = shop.app
    sent = app.jobs["computes"].enqueue(Work("sums"))
    told: list[str] = []

    def runs() -> bool:
        told.append(capfd.readouterr().out)
        return "computes sums" in "".join(told)

    wait_until(runs, "it runs", limit_s=WAIT_S)

    app.control.cancel(sent.job_id)

    assert shop.end_of(sent.job_id) == "cancelled"


def test_a_job_cancelled_before_any_worker_runs_never_starts(shop: Served) -> None:
    app = shop.app
    goes_on(shop)
    shop.stop()
    sent = app.jobs["work"].enqueue(Work("unwanted"))
    app.control.cancel(sent.job_id)
    shop.start()

    assert shop.end_of(sent.job_id) == "cancelled"


def test_a_job_that_waits_for_weeks_is_cancelled_at_its_next_hop(
    shop: Served, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "jobstream.kafka")
    app, plan = shop.app, shop.plans["paused"]
    ids = [uuid.uuid4().hex for _ in range(2)]
    app.jobs["work"].enqueue(Work("its schema is known from here on"), delay="1h")
    # Before the hop, which is 5 s after the put: so the order is known by then.
    app.control.cancel(ids[0], why="wrong customer")
    heard(caplog, "cancelled_jobs", 1)
    for job_id in ids:
        meta = Meta(id=job_id, enqueued_at=1, source="test")
        value = app.jobs["work"].codec.encode(meta, Work(job_id))
        shop.put(plan.rungs["5s"][0], value, headers=render(Carried(delay_ms=to_ms("30d"))))

    assert shop.end_of(ids[0]) == "cancelled"
    rung, count = plan.rungs["1d"]
    wait_until(
        lambda: any(ids[1].encode() in (r.value() or b"") for r in shop.records(rung, count)),
        "the other one waits on",
        limit_s=WAIT_S,
    )


def test_names_that_the_app_does_not_have_are_refused(shop: Served) -> None:
    for wrong in ({"queue": "pause"}, {"job": "works"}, {}, {"queue": "free", "job": "work"}):
        with pytest.raises(ConfigError):
            shop.app.control.pause(**wrong)
