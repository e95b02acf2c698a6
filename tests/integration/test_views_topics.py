"""Topics change under a running projection: made anew, added, cut by retention; a full disk."""

from __future__ import annotations

import errno
import subprocess
import threading
import time
import uuid
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from confluent_kafka import KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient
from sqlalchemy import insert, select, update
from tests.harness.folded import sqlite_in
from tests.harness.postgres import Postgres
from tests.harness.projections import projecting
from tests.harness.served import Served
from tests.harness.waiting import wait_until

from jobstream import App, Backoff
from jobstream.kafka.client import admin_calls
from jobstream.operate.view import AppView
from jobstream.views.database import opened, own_turn
from jobstream.views.db_tables import letters, places
from jobstream.views.errors import NotSeen
from jobstream.views.migrating import migrate
from jobstream.views.projection import Projection
from jobstream.views.upkeep import Upkeep
from jobstream.views.upserts import insert_new
from jobstream.views.view_answers import JobFilter
from jobstream.views.views_reader import Views
from jobstream.views.views_retention import Keep

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sqlalchemy import Engine

    from jobstream import Job
    from jobstream.broker.embedded import EmbeddedKafka

pytestmark = pytest.mark.kafka
LIMIT_S = 150.0


@dataclass(frozen=True)
class Order:
    number: int


async def ship(order: Order) -> None:
    if order.number < 0:
        message = "no such order"
        raise LookupError(message)


def app_of(name: str, servers: str, folder: Path, *queues: str) -> App:
    """An app with a job type for each queue, of its name."""
    app = App(name, bootstrap_servers=servers, state_dir=folder / "state", size="small")
    for each in queues:
        queue = app.queue(each, partitions=1)
        app.job(queue=queue, name=each, retry=Backoff(attempts=1))(ship)
    return app


@pytest.fixture
def name() -> str:
    return f"anew-{uuid.uuid4().hex[:8]}"


@pytest.fixture
def served(kafka: EmbeddedKafka, tmp_path: Path, name: str) -> Iterator[Served]:
    with Served(app_of(name, kafka.bootstrap_servers, tmp_path, "mail")) as made:
        yield made


@pytest.fixture
def admin(kafka: EmbeddedKafka) -> AdminClient:
    return AdminClient({"bootstrap.servers": kafka.bootstrap_servers})


@contextmanager
def tables_in(url: str) -> Iterator[Engine]:
    engine = opened(url)
    try:
        migrate(engine)
        yield engine
    finally:
        engine.dispose()


def job_of(app: App, name: str = "mail") -> Job[Order, object]:
    found: Job[Order, object] = app.jobs[name]
    return found


def await_done(url: str, number: int) -> None:
    def done() -> bool:
        with closing(Views(url)) as views:
            return views.count(JobFilter(states=("done",))).n == number

    wait_until(done, f"{number} are done in the views", limit_s=LIMIT_S)


def next_of(engine: Engine, topic: str) -> int | None:
    """Which offset of the topic's only partition is stored next; None: it has no place."""
    query = select(places.c.next).where(places.c.topic == topic)
    with engine.connect() as connection:
        return connection.execute(query).scalar()


def await_fresh(url: str) -> tuple[str, ...]:
    """Wait until the answers are of a moment after this call; returns what they may lack."""
    asked_ms = time.time_ns() // 1_000_000

    def fresh() -> bool:
        with closing(Views(url)) as views:
            now = views.freshness()
            return now.as_of_ms >= asked_ms and not now.behind_records

    wait_until(fresh, "the answers are of now", limit_s=LIMIT_S)
    with closing(Views(url)) as views:
        return views.freshness().incomplete


def test_a_topic_made_anew_is_folded_and_makes_no_answer_old(
    served: Served, tmp_path: Path, admin: AdminClient
) -> None:
    url, app = sqlite_in(tmp_path), served.app
    plan = served.plans["mail"]
    with projecting(served, url) as role:
        job_of(app).enqueue_many([Order(n) for n in range(20)] + [Order(-1)])
        await_done(url, 20)
        served.stop()
        for future in admin.delete_topics([plan.topic, plan.dlq]).values():
            future.result(LIMIT_S)
        again = app_of(app.name, app.settings.bootstrap_servers, tmp_path, "mail")

        def gone() -> bool:
            return not {plan.topic, plan.dlq} & admin.list_topics(timeout=LIMIT_S).topics.keys()

        wait_until(gone, "the topics are gone", limit_s=LIMIT_S)
        with Served(again):
            job_of(again).enqueue_many([Order(n) for n in range(30, 40)])
            await_done(url, 30)
            lacks = await_fresh(url)
            with closing(Views(url)) as views:
                letters = views.dead_groups()
        assert any("was made anew" in each for each in lacks), lacks
        assert letters == (), "a letter of the old topic can't be redriven"
        assert not role.projection.trouble
        # The worker has written its last places behind its last jobs.
        wait_until(lambda: role.upkeep.behind_records == 0, "all is folded", limit_s=LIMIT_S)


def letters_in(url: str) -> int:
    with closing(Views(url)) as views:
        return sum(group.count for group in views.dead_groups())


def await_letters(url: str, number: int) -> None:
    wait_until(lambda: letters_in(url) == number, f"{number} letters are open", limit_s=LIMIT_S)


def delete(admin: AdminClient, topic: str) -> None:
    (future,) = admin.delete_topics([topic]).values()
    future.result(LIMIT_S)
    wait_until(
        lambda: topic not in admin.list_topics(timeout=LIMIT_S).topics,
        "it is gone",
        limit_s=LIMIT_S,
    )


def cut(admin: AdminClient, served: Served, topic: str) -> None:
    """Delete all that is in the topic, as retention does."""
    end = served.log.span((topic, 0))[1]
    (future,) = admin.delete_records([TopicPartition(topic, 0, end)]).values()
    future.result(LIMIT_S)


def test_a_deleted_topic_is_named_and_leaves_no_letter_open_until_it_is_made_anew(
    served: Served, tmp_path: Path, admin: AdminClient
) -> None:
    url, app, dlq = sqlite_in(tmp_path), served.app, served.plans["mail"].dlq
    with projecting(served, url):
        job_of(app).enqueue_many([Order(n) for n in (-1, -2, -3)])
        await_letters(url, 3)
        cut(admin, served, dlq)
        await_letters(url, 0)
        job_of(app).enqueue_many([Order(-4)])
        await_letters(url, 1)
        served.stop()

        delete(admin, dlq)

        await_letters(url, 0)
        (told,) = await_fresh(url)
        assert told.startswith(f"{dlq} [0]: the topic was deleted")
        with Served(app_of(app.name, app.settings.bootstrap_servers, tmp_path, "mail")) as again:
            job_of(again.app).enqueue(Order(-5))
            await_letters(url, 1)
            (told,) = await_fresh(url)
            assert told.startswith(f"{dlq} [0]: the topic was made anew")
            cut(admin, again, dlq)
            await_letters(url, 0)


def test_a_topic_that_is_gone_takes_no_other_partition_with_it(
    served: Served, tmp_path: Path, admin: AdminClient
) -> None:
    plan = served.plans["mail"]
    served.stop()
    with tables_in(sqlite_in(tmp_path)) as engine:
        projection = Projection(AppView(served.app.name, served.app.settings), engine)
        delete(admin, plan.dlq)

        found = projection.starts([(plan.dlq, 0), (plan.topic, 0)])

        assert found.keys() == {(plan.topic, 0)}
        with pytest.raises(NotSeen, match=rf"{plan.dlq} \[0\]"):
            projection.out_of_log((plan.dlq, 0))


def test_a_topic_that_brokers_show_late_is_read_once_they_do(
    served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, topic, shown = sqlite_in(tmp_path), served.plans["mail"].topic, threading.Event()

    unknown: Future[Any] = Future()
    unknown.set_exception(KafkaException(KafkaError(KafkaError.UNKNOWN_TOPIC_OR_PART)))

    class Late(AdminClient):
        """A client whose brokers do not know the topic's partitions yet."""

        def list_offsets(self, *words: Any, **named: Any) -> Any:  # noqa: ANN401 - the library's
            found = super().list_offsets(*words, **named)
            return {
                place: unknown if place.topic == topic and not shown.is_set() else future
                for place, future in found.items()
            }

    monkeypatch.setattr(admin_calls, "AdminClient", Late)
    job_of(served.app).enqueue(Order(1))
    with projecting(served, url) as role:
        wait_until(lambda: topic in role.projection.trouble, "it waits", limit_s=LIMIT_S)
        assert not all(check.ok for check in role.probes.ready())
        shown.set()
        # That the job is done is told by another topic, too.
        engine = role.projection.engine
        wait_until(lambda: next_of(engine, topic) == 1, "its record is stored", limit_s=LIMIT_S)
        assert not role.projection.trouble


def test_two_instances_do_not_wait_for_each_other_when_a_topic_is_made_anew(
    served: Served,
) -> None:
    dlq = served.plans["mail"].dlq
    where = {"topic_id": "old", "topic": dlq, "partition": 0, "next": 0, "end": 0, "record_ms": 0,
             "checked_ms": 0}  # fmt: skip
    letter = {column.name: 0 if column.type.python_type is int else "" for column in letters.c}
    letter |= {"topic": dlq, "job_id": "a"}
    with Postgres() as server, tables_in(server.url) as engine, ThreadPoolExecutor(1) as other:
        projection = Projection(AppView(served.app.name, served.app.settings), engine)
        with engine.begin() as connection:
            connection.execute(insert(places), [where])
            connection.execute(insert(letters), [letter])
        topic_id = projection.view.cluster.topic_ids([dlq])[dlq]

        def waiting() -> bool:
            with engine.connect() as connection:
                found = connection.exec_driver_sql("SELECT 1 FROM pg_locks WHERE NOT granted")
                return bool(found.all())

        with own_turn(engine) as connection:
            connection.execute(update(letters).values(message="it holds this row"))
            starts = other.submit(projection.starts, [(dlq, 0)])
            wait_until(waiting, "the other one waits", limit_s=LIMIT_S)
            insert_new(connection, places, [where | {"topic_id": topic_id}])

        ((_, offset),) = starts.result(LIMIT_S).values()
        assert offset == 0


def test_a_new_queue_is_folded_without_a_restart(served: Served, tmp_path: Path, name: str) -> None:
    url, app = sqlite_in(tmp_path), served.app
    with projecting(served, url):
        job_of(app).enqueue(Order(1))
        await_done(url, 1)
        served.stop()
        both = app_of(name, app.settings.bootstrap_servers, tmp_path, "mail", "late")
        with Served(both):
            job_of(both, "late").enqueue_many([Order(n) for n in range(5)])
            await_done(url, 6)
        assert await_fresh(url) == ()


def test_a_queue_that_comes_before_the_first_look_is_seen(
    served: Served, tmp_path: Path, name: str
) -> None:
    servers, told = served.app.settings.bootstrap_servers, threading.Event()
    engine = opened(sqlite_in(tmp_path))
    migrate(engine)
    projection = Projection(AppView(name, served.app.settings), engine)
    upkeep = Upkeep(projection, Keep(), told.set)
    upkeep.reads = projection.topics_now()

    with Served(app_of(name, servers, tmp_path, "mail", "late")):
        upkeep.look()

    engine.dispose()
    assert told.is_set()


def test_what_retention_deletes_is_counted_if_unread_and_forgotten_if_a_letter(
    served: Served, tmp_path: Path, admin: AdminClient
) -> None:
    url, app, plan = sqlite_in(tmp_path), served.app, served.plans["mail"]
    with projecting(served, url):
        job_of(app).enqueue_many([Order(1), Order(-1), Order(-2)])
        await_letters(url, 2)
        await_fresh(url)  # That jobs have ended is told by other topics than their queue's, too.
        cut(admin, served, plan.dlq)
        await_letters(url, 0)
        with closing(Views(url)) as views:
            assert views.count(JobFilter(states=("dead",))).n == 2, "their jobs are still told"
    ids = job_of(app).enqueue_many([Order(n) for n in range(7)])
    for each in ids:
        served.end_of(each)
    cut(admin, served, plan.topic)

    with projecting(served, url):
        job_of(app).enqueue(Order(100))
        wait_until(lambda: await_fresh(url), "the gap is told", limit_s=LIMIT_S)
        (told,) = await_fresh(url)
        await_done(url, 9)
    assert "retention passed" in told
    assert "7 records are not in here" in told


def test_a_full_disk_is_waited_for_and_nothing_is_lost(served: Served, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(disk)]
    refused = subprocess.run(mount, capture_output=True, text=True, check=False).stderr
    if refused:
        pytest.skip(f"a disk of its own needs the right to mount one: {refused.strip()}")
    try:
        url, ballast = sqlite_in(disk), disk / "ballast"
        with projecting(served, url) as role:
            job_of(served.app).enqueue_many([Order(n) for n in range(10)])
            await_done(url, 10)
            fill(ballast)
            job_of(served.app).enqueue_many([Order(n) for n in range(2_000)])

            def is_stuck() -> bool:
                fill(ballast)
                return "full" in role.projection.trouble

            wait_until(is_stuck, "it says why it does not go on", limit_s=LIMIT_S)
            assert not all(check.ok for check in role.probes.ready())
            ballast.unlink()
            await_done(url, 2_010)
            wait_until(lambda: not role.projection.trouble, "it is over", limit_s=LIMIT_S)
            assert await_fresh(url) == ()
    finally:
        unmount = ["umount", "--lazy", str(disk)]
        subprocess.run(unmount, check=True)


def fill(ballast: Path) -> None:
    """Take all that is left of the disk."""
    with ballast.open("ab", buffering=0) as file:
        while True:
            try:
                file.write(bytes(4_096))
            except OSError as error:
                assert error.errno == errno.ENOSPC  # noqa: PT017 - it ends the loop
                return
