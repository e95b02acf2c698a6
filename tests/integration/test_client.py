"""The client on a real broker: what it returns is in the log, from any thread, loop or fork."""

from __future__ import annotations

import asyncio
import secrets
import subprocess
import sys
import threading
import time
import uuid
import weakref
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from tests.harness.served import Served

from jobstream import App, ConfigError, EnqueueError, EnqueuesFailed, JobTooLarge, WrongArgs
from jobstream.enqueue.composing import JobKind, When
from jobstream.operate.history import history
from jobstream.operate.view import AppView
from jobstream_processors.core.partition import partition_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from jobstream import Enqueued, Job
    from jobstream.broker.embedded import EmbeddedKafka

    Logged = Callable[[], list[str]]

pytestmark = pytest.mark.kafka

PARTITIONS = 5


@dataclass(frozen=True, eq=False)
class Mail:
    to: str
    body: bytes = b""


@pytest.fixture(scope="module")
def served(kafka: EmbeddedKafka) -> Iterator[Served]:
    """Topics without a worker: what is enqueued stays where it is."""
    app = App(f"client-{uuid.uuid4().hex[:8]}", bootstrap_servers=kafka.bootstrap_servers)
    app.declare("mail", Mail, queue=app.queue("default", partitions=PARTITIONS))
    served = Served(app)
    yield served
    served.close()


@pytest.fixture
def mail(served: Served) -> Job[Mail, object]:
    return served.app.jobs["mail"]


@pytest.fixture
def logged(served: Served) -> Logged:
    """Ids of the jobs that were put on the queue since the test began, sorted."""
    topic = served.plans["default"].topic
    codec = served.app.jobs["mail"].codec
    begun = {(topic, n): served.log.span((topic, n))[1] for n in range(PARTITIONS)}

    def ids() -> list[str]:
        found = []
        for place, start in begun.items():
            for batch in served.log.read(place, start, served.log.span(place)[1]):
                found += [codec.decode(record.value() or b"").id for record in batch]
        return sorted(found)

    return ids


def test_what_enqueue_returns_is_where_the_job_stands(
    served: Served, mail: Job[Mail, object]
) -> None:
    told = mail.enqueue(Mail("a"), key="order-1", correlation_id="request-9")

    place = (told.topic, told.partition)
    ((record,),) = served.log.read(place, told.offset, told.offset + 1)
    meta = mail.codec.decode(record.value() or b"")
    assert (meta.id, meta.order_key, meta.correlation_id) == (told.job_id, "order-1", "request-9")
    assert record.key() == b"order-1"
    assert not record.headers()


@pytest.mark.parametrize("key", ["order-1", "", "ключ", "k" * 500])
def test_key_goes_where_java_puts_it(mail: Job[Mail, object], key: str) -> None:
    if not key:
        told = mail.enqueue(Mail("a"), idempotency_key=str(uuid.uuid4()))
        key = told.job_id
    else:
        told = mail.enqueue(Mail("a"), key=key)

    assert told.partition == partition_for(key.encode(), PARTITIONS)


def test_ids_are_uuid7_unless_derived(mail: Job[Mail, object]) -> None:
    random = [uuid.UUID(mail.enqueue(Mail("a")).job_id) for _ in range(3)]
    first = mail.enqueue(Mail("a"), idempotency_key="r-1")
    again = mail.enqueue(Mail("b"), idempotency_key="r-1")
    other = mail.enqueue(Mail("a"), idempotency_key="r-2")

    assert [job_id.version for job_id in random] == [7, 7, 7]
    assert random == sorted(random)
    assert first.job_id == again.job_id != other.job_id
    assert first.partition == again.partition


def test_eight_threads_share_an_app(mail: Job[Mail, object], logged: Logged) -> None:
    def work(thread: int) -> list[str]:
        return [mail.enqueue(Mail(f"{thread}-{n}")).job_id for n in range(200)]

    with ThreadPoolExecutor(8) as pool:
        ids = [job_id for part in pool.map(work, range(8)) for job_id in part]

    assert len(set(ids)) == 1_600
    assert logged() == sorted(ids)


def test_several_event_loops_share_an_app(mail: Job[Mail, object], logged: Logged) -> None:
    async def work(loop: int) -> list[Enqueued]:
        return await asyncio.gather(*(mail.aenqueue(Mail(f"{loop}-{n}")) for n in range(100)))

    with ThreadPoolExecutor(4) as pool:
        parts = list(pool.map(lambda loop: asyncio.run(work(loop)), range(4)))

    ids = [told.job_id for part in parts for told in part]
    assert logged() == sorted(ids)


def test_loop_that_left_early_harms_no_later_enqueue(
    mail: Job[Mail, object], logged: Logged
) -> None:
    mail.enqueue(Mail("topics and schema are known"))

    async def leave() -> None:
        # Begins to send, and leaves before the answer can come.
        for n in range(50):
            waiting = asyncio.ensure_future(mail.aenqueue(Mail(f"{n}")))
            await asyncio.sleep(0)
            waiting.cancel()

    asyncio.run(leave())

    assert mail.enqueue(Mail("later")).job_id in logged()


def test_sync_enqueue_inside_a_running_loop_names_the_other(mail: Job[Mail, object]) -> None:
    async def work() -> None:
        with pytest.raises(EnqueueError, match="await aenqueue") as caught:
            mail.enqueue(Mail("a"))
        assert not caught.value.may_be_written
        with pytest.raises(EnqueueError, match="await aenqueue_many"):
            mail.enqueue_many([Mail("a")])

    asyncio.run(work())


def test_many_from_a_generator_are_not_kept(mail: Job[Mail, object], logged: Logged) -> None:
    alive: weakref.WeakSet[Mail] = weakref.WeakSet()
    kept = 0

    def jobs() -> Iterator[Mail]:
        nonlocal kept
        for n in range(20_000):
            yielded = Mail(f"{n}")
            alive.add(yielded)
            kept = max(kept, len(alive))
            yield yielded

    ids = mail.enqueue_many(jobs())

    assert kept < 10
    assert len(set(ids)) == 20_000
    assert logged() == sorted(ids)


def test_many_ask_for_key_and_idempotency_key_of_each(mail: Job[Mail, object]) -> None:
    jobs = [Mail(f"{n}") for n in range(10)]

    first = mail.enqueue_many(jobs, key=lambda m: m.to, idempotency_key=lambda m: f"i-{m.to}")
    again = mail.enqueue_many(jobs, key=lambda m: m.to, idempotency_key=lambda m: f"i-{m.to}")

    assert first == again
    assert first[3] == mail.enqueue(Mail("3"), idempotency_key="i-3").job_id


def test_async_many(mail: Job[Mail, object], logged: Logged) -> None:
    ids = asyncio.run(mail.aenqueue_many(Mail(f"{n}") for n in range(1_000)))

    assert logged() == sorted(ids)


def test_many_tell_failures_by_index_and_send_the_others(
    mail: Job[Mail, object], logged: Logged
) -> None:
    jobs = [Mail(f"{n}") for n in range(300)]
    jobs[7] = Mail(7)  # type: ignore[arg-type] # wrong on purpose
    jobs[9] = Mail("big", b"x" * 1_000_000)

    with pytest.raises(EnqueuesFailed, match="2 of 300 jobs failed") as caught:
        mail.enqueue_many(jobs)

    error = caught.value
    assert {i: type(e) for i, e in error.failures.items()} == {7: WrongArgs, 9: JobTooLarge}
    assert (error.failed, error.unknown) == (2, 0)
    assert error.ids[7] == error.ids[9] == ""
    assert logged() == sorted(filter(None, error.ids))


def test_many_keep_a_bounded_list_of_failures(mail: Job[Mail, object]) -> None:
    with pytest.raises(EnqueuesFailed) as caught:
        mail.enqueue_many(Mail(n) for n in range(500))  # type: ignore[arg-type] # wrong on purpose

    assert len(caught.value.failures) == 100
    assert caught.value.failed == 500


def test_generator_that_fails_leaves_nothing_in_mid_air(
    mail: Job[Mail, object], logged: Logged
) -> None:
    def jobs() -> Iterator[Mail]:
        for n in range(50):
            yield Mail(f"{n}")
        message = "the source is gone"
        raise LookupError(message)

    with pytest.raises(LookupError, match="the source is gone"):
        mail.enqueue_many(jobs())

    assert len(logged()) == 50


def test_refused_options_send_nothing(mail: Job[Mail, object], logged: Logged) -> None:
    mail.enqueue(Mail("one"))

    for options in (
        {"key": ""},
        {"key": "k" * 513},
        {"key": "half of a pair \ud800"},
        {"idempotency_key": ""},
        {"delay": "soon"},
        {"delay": -1},
        {"expires_in": "-5s"},
        {"correlation_id": 5},
    ):
        with pytest.raises(ConfigError, match=next(iter(options))):
            mail.enqueue(Mail("two"), **options)

    assert len(logged()) == 1


def test_job_above_the_cap_is_refused(mail: Job[Mail, object]) -> None:
    with pytest.raises(JobTooLarge, match="the cap is 900000") as caught:
        mail.enqueue(Mail("a", b"x" * 900_000))

    assert not caught.value.may_be_written
    mail.enqueue(Mail("a", b"x" * 899_000))


FORKING = """
import os, sys, time
from dataclasses import dataclass
from jobstream import App

@dataclass(frozen=True)
class Mail:
    to: str
    body: bytes = b""

app = App(sys.argv[1], bootstrap_servers=sys.argv[2])
mail = app.declare("mail", Mail, queue=app.queue("default", partitions=5))
started = time.monotonic()
print(mail.enqueue(Mail("before the fork")).job_id, flush=True)
begun = time.monotonic()
child = os.fork()
if child == 0:
    print(mail.enqueue(Mail("in the child")).job_id, flush=True)
    sys.exit(0)
_, status = os.waitpid(child, 0)
print(mail.enqueue(Mail("after, in the parent")).job_id, flush=True)
print(status, begun - started, time.monotonic() - begun, flush=True)
"""


def test_forked_child_enqueues_and_leaves_soon(
    kafka: EmbeddedKafka, served: Served, logged: Logged
) -> None:
    command = [sys.executable, "-c", FORKING, served.app.name, kafka.bootstrap_servers]

    ran = subprocess.run(command, capture_output=True, text=True, timeout=180, check=False)

    assert ran.returncode == 0, ran.stderr
    *ids, last = ran.stdout.split("\n")[:-1]
    status, first, seconds = last.split()
    assert status == "0"
    # The child connects anew, as the first enqueue did: so long that takes on this machine now.
    assert float(seconds) < 3 + 4 * float(first)
    assert len(set(ids)) == 3
    assert logged() == sorted(ids)


def test_close_sends_what_is_queued_and_the_next_enqueue_connects_anew(
    served: Served, mail: Job[Mail, object], logged: Logged
) -> None:
    done = threading.Event()

    def work() -> None:
        mail.enqueue(Mail("on its way"))
        done.set()

    thread = threading.Thread(target=work)
    thread.start()
    assert done.wait(180)
    served.app.close()
    thread.join(180)

    mail.enqueue(Mail("after"))

    assert len(logged()) == 2


def test_a_job_is_found_though_its_producers_clock_was_ahead(
    served: Served, mail: Job[Mail, object]
) -> None:
    app, plan = served.app, served.plans["default"]
    made_ms = time.time_ns() // 1_000_000 + 7_200_000
    job_id = str(uuid.UUID(int=made_ms << 80 | 7 << 76 | 2 << 62 | secrets.randbits(32)))
    app.client.enqueue(JobKind(mail.codec, plan, mail.name), Mail("a"), When(), job_id)
    view = AppView(app.name, app.settings)

    found = history(view, job_id, view.queues())

    assert [entry.what for entry in found.entries] == ["queued"]
