"""What a service counts of its enqueues: per registered type, errors by our own classes only."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from jobstream import App
from jobstream.enqueue.counts import EDGES_S, Counts
from jobstream.errors import ConfigError, EnqueuesFailed, JobTooLarge, QueueFull, WrongArgs
from jobstream.observe.metrics import BY_NAME
from jobstream.testing import memory
from jobstream.testing.memory_broker import MemoryBroker
from jobstream.testing.memory_transport import MemoryTransport
from jobstream.testing.virtual_clock import VirtualClock

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jobstream import Job
    from jobstream.enqueue.acks import Done
    from jobstream_processors.ports import Outgoing

NUMBER = 4
EACH = 3_000


@dataclass(frozen=True)
class Mail:
    to: str


def value(app: App, name: str, **labels: str) -> float | None:
    registry = CollectorRegistry()
    registry.register(app.metrics())
    return registry.get_sample_value(name, labels)


@pytest.fixture
def app() -> App:
    return App("shop", enqueue_bytes_max=1_000)


@pytest.fixture
def send(app: App) -> Job[Mail, None]:
    return app.declare("send", Mail)


@pytest.mark.usefixtures("send")
def test_a_declared_type_is_there_from_the_start(app: App) -> None:
    assert value(app, "jobs_enqueued_total", queue="default", job_type="send") == 0


def test_enqueues_and_failures_are_counted(app: App, send: Job[Mail, None]) -> None:
    with memory(app):
        send.enqueue(Mail("ann"))
        send.enqueue_many([Mail("bob"), Mail("eve")])
        with pytest.raises(JobTooLarge):
            send.enqueue(Mail("x" * 2_000))
        with pytest.raises(WrongArgs):
            send.enqueue(Mail(5))  # type: ignore[arg-type] # the mistake under test
        with pytest.raises(EnqueuesFailed):
            send.enqueue_many([Mail("max"), Mail("y" * 2_000)])
        with pytest.raises(ConfigError):
            send.enqueue(Mail("ann"), delay="never")

    own = {"queue": "default", "job_type": "send"}
    assert value(app, "jobs_enqueued_total", **own) == 4
    assert value(app, "jobs_enqueue_duration_seconds_count", **own) == 1
    failures = {"JobTooLarge": 2, "WrongArgs": 1, "ConfigError": 1, "QueueFull": None}
    for error, expected in failures.items():
        assert value(app, "jobs_enqueue_failures_total", **own, error=error) == expected


def broken_off() -> Iterator[Mail]:
    """Three jobs, one of them too large, and then the source fails."""
    yield from (Mail("ann"), Mail("y" * 2_000), Mail("bob"))
    message = "the source is gone"
    raise LookupError(message)


@pytest.mark.parametrize("way", ["enqueue_many", "aenqueue_many"])
def test_what_was_acknowledged_before_the_source_failed_is_counted(
    app: App, send: Job[Mail, None], way: str
) -> None:
    ways = {
        "enqueue_many": lambda: send.enqueue_many(broken_off()),
        "aenqueue_many": lambda: asyncio.run(send.aenqueue_many(broken_off())),
    }

    with memory(app), pytest.raises(LookupError, match="the source is gone"):
        ways[way]()

    own = {"queue": "default", "job_type": "send"}
    assert value(app, "jobs_enqueued_total", **own) == 2
    for error in ("JobTooLarge", "other"):
        assert value(app, "jobs_enqueue_failures_total", **own, error=error) == 1


def test_an_error_of_a_stranger_makes_no_label() -> None:
    counts = Counts("mail", "send")

    with pytest.raises(ZeroDivisionError), counts.failing():
        raise ZeroDivisionError

    assert counts.now()[1] == {"other": 1}


def test_failures_beyond_those_that_are_told_are_counted_all_the_same() -> None:
    counts = Counts("mail", "send")

    counts.many(10, EnqueuesFailed(["x"] * 10, {1: QueueFull("full")}, failed=3, unknown=2))

    enqueued, failures, _ = counts.now()
    assert enqueued == 5
    assert failures == {"QueueFull": 1, "other": 2, "EnqueueTimeout": 2}


class Acknowledging(MemoryTransport):
    """The way to a broker that acknowledges everything, and keeps nothing."""

    def submit(self, record: Outgoing, done: Done) -> None:
        done(None, record.partition, 0)

    def partitions(self, topic: str, timeout_s: float = 0.0) -> int:  # noqa: ARG002 - part of the port
        return 12


def test_threads_lose_nothing_while_another_one_reads(app: App, send: Job[Mail, None]) -> None:
    counts, done = send.counts, threading.Event()
    seen: list[tuple[int, int]] = []

    def enqueue() -> None:
        for _ in range(EACH):
            send.enqueue(Mail("ann"))

    def read() -> None:
        while not done.is_set():
            enqueued, _, (buckets, _) = counts.now()
            seen.append((enqueued, sum(buckets)))

    app.bind(Acknowledging(MemoryBroker(VirtualClock(0))))
    writers = [threading.Thread(target=enqueue) for _ in range(NUMBER)]
    reader = threading.Thread(target=read)
    for thread in (reader, *writers):
        thread.start()
    for thread in writers:
        thread.join()
    done.set()
    reader.join()

    assert all(enqueued == buckets for enqueued, buckets in seen)
    assert counts.now()[0] == NUMBER * EACH


def test_the_edges_are_those_of_the_catalogue() -> None:
    assert BY_NAME["jobs_enqueue_duration_seconds"].buckets == EDGES_S


def test_without_the_extra_the_error_says_what_to_install() -> None:
    program = (
        "import sys; sys.modules['prometheus_client'] = None\n"
        "import jobstream\n"
        "try: jobstream.App('shop').metrics()\n"
        "except jobstream.ConfigError as error: print(error)"
    )

    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )

    assert "pip install 'jobstream[metrics]'" in ran.stdout


@pytest.mark.usefixtures("send")
def test_the_text_can_be_read(app: App) -> None:
    registry = CollectorRegistry()
    registry.register(app.metrics())

    assert b'jobs_enqueued_total{job_type="send",queue="default"} 0.0' in generate_latest(registry)
