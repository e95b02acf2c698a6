"""`jobstream explain` on a real Kafka: what is said of one job, without its code."""

from __future__ import annotations

import asyncio
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from tests.harness.served import Served
from tests.harness.waiting import wait_until
from tests.integration.terminal import Terminal

from jobstream import App, Backoff, Dead
from jobstream_processors.core.headers import Carried, render
from jobstream_schemas import Meta

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from jobstream.broker.embedded import EmbeddedKafka

pytestmark = pytest.mark.kafka
LIMIT_S = 180.0
HOUR_MS = 3_600_000


@dataclass(frozen=True)
class Order:
    ends: str


async def play(args: Order) -> None:
    match args.ends:
        case "fails":
            raise LookupError(args.ends)
        case "dies":
            message = "order is gone"
            raise Dead(message)
        case "runs":
            await asyncio.Event().wait()


@pytest.fixture(scope="module")
def served(kafka: EmbeddedKafka, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("explained")
    app = App(f"why-{uuid.uuid4().hex[:8]}", bootstrap_servers=kafka.bootstrap_servers,
              state_dir=folder, replication=1, drain="1s")  # fmt: skip
    backoff = Backoff(attempts=2, first="1h", jitter=False)
    queue = app.queue("mail", partitions=1)
    app.job(queue=queue, retry=backoff, timeout="10m", name="play")(play)
    app.job(queue=app.queue("rest", partitions=1), name="paused")(play)
    with Served(app) as served:
        yield served


@pytest.fixture(scope="module")
def terminal(served: Served) -> Terminal:
    return Terminal(served.app)


def enqueued(served: Served, ends: str, job: str = "play", **options: Any) -> str:  # noqa: ANN401 - as enqueue has them
    return str(served.app.jobs[job].enqueue(Order(ends), **options).job_id)


def explained(terminal: Terminal, job_id: str, part: str) -> dict[str, Any]:
    """What is told of it, once the sentence has that part."""

    def told() -> dict[str, Any] | None:
        found: dict[str, Any] = terminal.json("explain", job_id)
        return found if part in found["sentence"] else None

    found = wait_until(told, f"it says {part!r}", limit_s=LIMIT_S)
    assert found is not None
    return found


def test_how_it_ended(terminal: Terminal, served: Served) -> None:
    done, dead = enqueued(served, "done"), enqueued(served, "dies")
    for job_id in (done, dead):
        served.end_of(job_id)

    assert explained(terminal, done, "is done since 20")["state"] == "done"
    told = explained(terminal, dead, "its dead letter is open")
    assert "is dead since 20" in told["sentence"]
    assert terminal.run("explain", done[:30]).startswith(f"job {done} (play, queue mail) is done")
    assert "no trace of job" in terminal.run("explain", str(uuid.uuid4()), code=1)


def test_what_runs_where(terminal: Terminal, served: Served, tmp_path: Path) -> None:
    job_id = enqueued(served, "runs")

    here = explained(terminal, job_id, "runs on ")
    elsewhere = explained(Terminal(served.app, state_dir=tmp_path), job_id, "may be running it")

    assert (here["state"], here["attempt"]) == ("running", 1)
    assert here["worker"] in here["sentence"]
    assert elsewhere["worker"] is None
    assert elsewhere["workers"] == {"asked": 0, "members": 1}
    assert "1 of 1 workers is not on this machine" in elsewhere["sentence"]


def test_what_waits_in_a_worker_for_its_key(terminal: Terminal, served: Served) -> None:
    first, second = (enqueued(served, "runs", key="same") for _ in range(2))

    explained(terminal, first, "runs on ")
    told = explained(terminal, second, "as another job has its order key [key], since 20")

    assert told["waits"] == "key"
    assert told["sentence"].endswith("; its order key is 'same'.")
    assert f"waits in worker {told['worker']}" in told["sentence"]


def test_what_waits_on_the_ladder(terminal: Terminal, served: Served) -> None:
    later, fails = enqueued(served, "done", delay="3h"), enqueued(served, "fails")

    assert explained(terminal, later, "it is to run later")["due_at"] is not None
    told = explained(terminal, fails, "for attempt 2: builtins.LookupError at ")
    assert told["waits"] is None


def test_what_waits_there_for_its_turn(terminal: Terminal, served: Served) -> None:
    app, job_id = served.app, str(uuid.uuid4())
    job = app.jobs["play"]
    served.app.client.require(app.plan(job.queue).topic)
    value = job.codec.encode(Meta(job_id, 1, "test"), Order("done"))
    due_ms = 4_000_000_000_000
    topic, _ = app.plan(job.queue).rungs["1d"]
    carried = Carried(seq=1, due_ms=due_ms, partition=0, waits="rate", waits_since_ms=due_ms - 9)
    served.put(topic, value, key=job_id.encode(), headers=render(carried))

    told = explained(terminal, job_id, "its rate limit is used up [rate], since 20")

    assert (told["rung"], told["waits"]) == ("1d", "rate")


def test_who_else_has_its_unique_key(terminal: Terminal, served: Served) -> None:
    terminal.run("control", "pause", "--queue", "rest")
    app, ids = served.app, [str(uuid.uuid4()) for _ in range(2)]
    job = app.jobs["paused"]
    plan = app.plan(job.queue)
    enqueued(served, "done", "paused")  # The schema is known from now on.
    for job_id in ids:
        meta = Meta(job_id, 1, "test", None, "o-1")
        served.put(plan.topic, job.codec.encode(meta, Order("done")), key=b"o-1")
    carried = Carried(seq=1, due_ms=4_000_000_000_000, partition=0, waits="unique")
    value = job.codec.encode(Meta(ids[0], 1, "test", None, "o-1"), Order("done"))
    served.put(plan.rungs["1d"][0], value, key=b"o-1", headers=render(carried))

    told = explained(terminal, ids[0], "another job has its unique key [unique]")

    assert told["same_unique"] == ids[1]
    assert (
        f"; its unique key is 'o-1'; job {ids[1]} has it, too, and is not finished"
        in (told["sentence"])
    )


def test_what_waits_behind_others_and_a_pause(terminal: Terminal, served: Served) -> None:
    terminal.run("control", "pause", "--queue", "rest", "--why", "not now")
    first = enqueued(served, "done", "paused", key="k-1")
    enqueued(served, "done", "paused", key="k-2")
    last = enqueued(served, "done", "paused", key="k-1")

    told = explained(terminal, last, "queue rest is paused until")

    assert told["sentence"].endswith(": not now.")
    before = terminal.json("explain", first)["ahead"]["jobs"]
    assert told["ahead"] == {"jobs": before + 2, "of_key": 1, "seconds": None}
    ahead = f"is behind {before + 2} jobs of its partition (none was finished, 1 of them with its"
    assert ahead in told["sentence"]
