"""What a job keeps on its way: its bytes, its attempts and its key, across retries and restarts."""

from __future__ import annotations

import threading
import uuid
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from confluent_kafka import Producer
from tests.harness.served import Served
from tests.harness.waiting import wait_until

from jobstream import App, Backoff, Context

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from jobstream.broker.embedded import EmbeddedKafka

pytestmark = pytest.mark.kafka

QUICK = Backoff(attempts=3, first="10ms", cap="20ms")


@dataclass(frozen=True)
class Work:
    text: str


class Desk:
    """Makes apps of one name, as several deployments would, and remembers what their jobs did."""

    def __init__(self, kafka: EmbeddedKafka, folder: Path) -> None:
        self._bootstrap = kafka.bootstrap_servers
        self._folder = folder
        self._name = f"settling-{uuid.uuid4().hex[:8]}"
        self._open: list[Served] = []
        self.runs: list[tuple[str, int, int]] = []
        """(text, attempt, redrive) of every start."""

    def app(self) -> App:
        """A new app of the same name."""
        app = App(
            self._name,
            bootstrap_servers=self._bootstrap,
            state_dir=self._folder,
            commit_interval="100ms",
            drain="1s",
        )
        app.queue("default", partitions=2)
        return app

    def serve(self, app: App) -> Served:
        """Its topics, and a worker."""
        served = Served(app)
        self._open.append(served)
        served.start()
        return served

    def note(self, args: Work, ctx: Context) -> None:
        """For handlers: remember this start."""
        self.runs.append((args.text, ctx.attempt, ctx.redrive))

    def starts(self, text: str) -> list[tuple[int, int]]:
        """(attempt, redrive) of the starts of the job with that text."""
        return [(attempt, redrive) for told, attempt, redrive in self.runs if told == text]

    def close(self) -> None:
        for served in self._open:
            served.close()


@pytest.fixture
def desk(kafka: EmbeddedKafka, tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(kafka, tmp_path)
    yield desk
    desk.close()


def test_bytes_stay_the_same_from_queue_to_dead_letter_and_redrive(desk: Desk) -> None:
    app = desk.app()

    @app.job(retry=QUICK)
    async def fails(args: Work, ctx: Context) -> None:
        desk.note(args, ctx)
        if ctx.redrive == 0:
            message = "not today"
            raise ValueError(message)

    served = desk.serve(app)
    plan = served.plans["default"]
    told = fails.enqueue(Work("x"), key="k")

    letter = served.letter_of(told.job_id)

    queued = [r for r in served.records(plan.topic, 2) if r.key() == b"k"]
    retried = served.records(*plan.rungs["0s"])
    assert {r.value() for r in (*queued, *retried)} == {letter.value}
    assert {r.key() for r in retried} == {b"k"}
    assert {r.partition() for r in queued} == {told.partition} == {letter.partition}
    assert desk.starts("x") == [(1, 0), (2, 0), (3, 0)]
    assert (letter.reason, letter.told("attempt")) == ("attempts_exhausted", "3")
    assert (letter.told("error"), letter.told("message")) == ("builtins.ValueError", "not today")

    headers = [("js-redrive", b"1")]
    served.put(plan.topic, letter.value, key=b"k", partition=told.partition, headers=headers)

    assert served.end_of(told.job_id, after="dead") == "done"
    assert desk.starts("x")[3:] == [(1, 1)]


def test_second_redrive_of_a_done_job_runs_nothing(desk: Desk) -> None:
    app = desk.app()

    @app.job
    async def works(args: Work, ctx: Context) -> None:
        desk.note(args, ctx)

    served = desk.serve(app)
    told = works.enqueue(Work("x"))
    assert served.end_of(told.job_id) == "done"
    topic = served.plans["default"].topic
    place = (told.topic, told.partition)
    ((record,),) = served.log.read(place, told.offset, told.offset + 1)

    for redrive in (b"1", b"2"):
        headers = [("js-redrive", redrive)]
        served.put(topic, record.value(), partition=told.partition, headers=headers)
    after = works.enqueue_many([Work("after")], key=lambda _: told.job_id)
    assert served.end_of(after[0]) == "done"

    assert desk.starts("x") == [(1, 0)]


def test_expired_job_is_not_started(desk: Desk) -> None:
    app = desk.app()

    @app.job
    async def works(args: Work, ctx: Context) -> None:
        desk.note(args, ctx)

    served = Served(app)
    late = works.enqueue(Work("late"), expires_in="1ms").job_id
    timely = works.enqueue(Work("in time"), expires_in="1h").job_id
    served.close()

    served = desk.serve(app)

    assert served.end_of(timely) == "done"
    assert served.end_of(late) == "expired"
    assert not desk.starts("late")
    assert not served.letters()


def test_unknown_type_waits_for_the_deployment_that_knows_it(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    before, after = desk.app(), desk.app()
    new = before.declare("new", Work)
    served = desk.serve(before)
    told = new.enqueue(Work("x"))
    rung = served.plans["default"].rungs["5s"]
    wait_until(lambda: served.records(*rung), "it waits on the ladder", limit_s=180)
    served.stop()
    warned = [(each.message, each.levelname, vars(each)["job"]) for each in caplog.records
              if each.message in {"handler_missing", "job_waits_for_code"}]  # fmt: skip
    assert warned == [
        ("handler_missing", "WARNING", "new"),
        ("job_waits_for_code", "WARNING", "new"),
    ]

    @after.job(name="new")
    async def handles(args: Work, ctx: Context) -> None:
        desk.note(args, ctx)

    assert desk.serve(after).end_of(told.job_id) == "done"
    assert desk.starts("x") == [(1, 0)]


def test_hold_key_keeps_its_attempts_across_a_restart(desk: Desk) -> None:
    failed = threading.Event()

    def declare(app: App) -> None:
        @app.job(
            name="held",
            on_failure="hold_key",
            retry=Backoff(attempts=3, first="2s", cap="2s", jitter=False),
        )
        async def held(args: Work, ctx: Context) -> None:
            desk.note(args, ctx)
            if args.text == "fails":
                failed.set()
                message = "again"
                raise ValueError(message)

    first, second = desk.app(), desk.app()
    declare(first)
    declare(second)
    served = desk.serve(first)
    one = first.jobs["held"].enqueue(Work("fails"), key="k").job_id
    two = first.jobs["held"].enqueue(Work("follows"), key="k").job_id
    other = first.jobs["held"].enqueue(Work("neighbour"), key="other").job_id
    assert failed.wait(180)
    assert served.end_of(other) == "done"
    served.stop()

    served = desk.serve(second)

    letter = served.letter_of(one)
    assert letter.told("attempt") == "3"
    assert served.end_of(two) == "done"
    assert desk.starts("fails") == [(1, 0), (2, 0), (3, 0)]
    texts = [text for text, _, _ in desk.runs if text != "neighbour"]
    assert texts == ["fails"] * 3 + ["follows"]


def test_two_apps_share_a_state_dir(desk: Desk, kafka: EmbeddedKafka, tmp_path: Path) -> None:
    neighbour = Desk(kafka, tmp_path)
    ids: list[tuple[Served, str]] = []

    for each in (desk, neighbour):
        app = each.app()

        @app.job
        async def works(args: Work, ctx: Context, each: Desk = each) -> None:
            each.note(args, ctx)

        ids.append((each.serve(app), works.enqueue(Work("x"), idempotency_key="the same").job_id))

    assert ids[0][1] == ids[1][1]
    assert [served.end_of(job_id) for served, job_id in ids] == ["done", "done"]
    assert desk.starts("x") == neighbour.starts("x") == [(1, 0)]
    neighbour.close()


def test_without_a_delayer_others_run_and_what_waits_stays_on_its_rung(desk: Desk) -> None:
    app = desk.app()
    work = app.job(name="work")(desk.note)
    with closing(Served(app)) as served:
        served.start(only="worker")
        delayed = work.enqueue(Work("delayed"), delay="1ms")
        others = work.enqueue_many(Work(f"other {n}") for n in range(20))

        assert {served.end_of(job_id) for job_id in others} == {"done"}
        assert not desk.starts("delayed")

        served.stop()
        served.start()
        assert served.end_of(delayed.job_id) == "done"
    assert desk.starts("delayed") == [(1, 0)]


def test_many_jobs_of_one_key_hold_up_no_other_key(desk: Desk) -> None:
    app, gate = desk.app(), threading.Event()
    started: list[str] = []

    @app.job(timeout="10m")
    def slow(args: Work) -> None:
        gate.wait(900)  # longer than anybody waits for the others
        started.append(args.text)

    @app.job
    async def quick(args: Work) -> None:
        started.append(args.text)

    served = desk.serve(app)
    flood = slow.enqueue_many((Work(f"{n}") for n in range(3_000)), key=lambda _: "one")
    others = quick.enqueue_many((Work(f"other {n}") for n in range(50)), key=lambda w: w.text)

    assert {served.end_of(job_id) for job_id in others} == {"done"}
    assert not [text for text in started if not text.startswith("other")]

    gate.set()
    assert served.end_of(flood[-1]) == "done"
    assert [text for text in started if not text.startswith("other")] == [
        f"{n}" for n in range(3_000)
    ]


@pytest.mark.parametrize("where", ["queue", "rung"])
@pytest.mark.parametrize(
    ("value", "headers"),
    [(b"z" * 5_000_000, []), (b"garbage", [("theirs", b"x" * 3_000_000)])],
    ids=["value", "headers"],
)
def test_record_too_big_to_copy_leaves_a_letter_that_points_to_it(
    desk: Desk, where: str, value: bytes, headers: list[tuple[str, bytes]]
) -> None:
    app = desk.app()

    @app.job
    async def works(args: Work) -> None: ...

    served = desk.serve(app)
    plan = served.plans["default"]
    topic = plan.topic if where == "queue" else plan.rungs["0s"][0]
    offsets: list[int] = []

    put_compressed(app, topic, value, headers, offsets.append)

    letter = served.letter(lambda found: "pointer" in str(found.headers), "a pointer letter")
    assert letter.value == b""
    assert letter.told("pointer") == f"{topic}:0:{offsets[0]}"
    assert letter.reason in {"undecodable", "too_large_to_copy"}
    assert served.end_of(works.enqueue(Work("after")).job_id) == "done"


def put_compressed(
    app: App,
    topic: str,
    value: bytes,
    headers: list[tuple[str, bytes]],
    told: Callable[[int], None],
) -> None:
    """Append a record whose producer compresses it, so that it fits a batch."""
    options = {"compression.type": "zstd", "message.max.bytes": 20_000_000}
    producer = Producer({**app.settings.client_options(), **options})
    producer.produce(
        topic,
        value,
        partition=0,
        headers=dict(headers),
        on_delivery=lambda e, m: told(_offset(e, m)),
    )
    assert producer.flush(180) == 0


def _offset(error: object, message: object) -> int:
    assert error is None, error
    return int(message.offset())  # type: ignore[attr-defined]
