"""`jobstream jobs` on a real Kafka: a job in every state, and what is said of the look."""

from __future__ import annotations

import asyncio
import uuid
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from tests.harness.served import Served
from tests.harness.waiting import wait_until
from tests.integration.terminal import Terminal

from jobstream import App, Backoff, Cancel, Dead, Unique
from jobstream.operate.job_list import jobs_now
from jobstream.operate.job_states import Wanted
from jobstream.operate.state_names import STATES
from jobstream.operate.view import AppView

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from jobstream.broker.embedded import EmbeddedKafka

pytestmark = pytest.mark.kafka
LIMIT_S = 180.0
MANY = 400
IN_STATE = {
    "done": "done",
    "fails": "retrying",
    "parks": "retrying",
    "dies": "dead",
    "cancels": "cancelled",
    "runs": "running",
    "delayed": "delayed",
    "expires": "expired",
    "paused": "waiting",
    "holds": "running",
    "twice": "duplicate",
}
"""What is enqueued, and where it ends up."""
HOLDS = {"twice": "holds"}
"""Of a type whose jobs have one unique key."""


@dataclass(frozen=True)
class Order:
    ends: str
    shop: str = ""


async def play(args: Order) -> None:
    match args.ends:
        case "fails" | "parks":
            raise LookupError(args.ends)
        case "dies":
            message = "order is gone"
            raise Dead(message)
        case "cancels":
            message = "not wanted"
            raise Cancel(message)
        case "runs" | "holds":
            await asyncio.Event().wait()


def app_at(kafka: EmbeddedKafka, folder: Path) -> App:
    app = App(
        f"states-{uuid.uuid4().hex[:8]}",
        bootstrap_servers=kafka.bootstrap_servers,
        state_dir=folder,
        replication=1,
        drain="1s",
    )
    mail, rest = (app.queue(name, partitions=1) for name in ("mail", "rest"))
    backoff = Backoff(attempts=2, first="1h", jitter=False)
    app.job(queue=mail, retry=backoff, timeout="10m", name="play")(play)
    app.job(queue=mail, retry=backoff, on_failure="hold_key", name="parks")(play)
    app.job(queue=mail, unique=Unique(by="shop"), name="holds")(play)
    app.job(queue=rest, name="paused")(play)
    return app


@pytest.fixture(scope="module")
def app(kafka: EmbeddedKafka, tmp_path_factory: pytest.TempPathFactory) -> App:
    return app_at(kafka, tmp_path_factory.mktemp("states"))


@pytest.fixture(scope="module")
def ids() -> dict[str, str]:
    """How a job ends → its id."""
    return {}


@pytest.fixture(scope="module")
def terminal(app: App, ids: dict[str, str]) -> Iterator[Terminal]:
    terminal = Terminal(app)
    jobs = app.jobs
    with Served(app) as served:
        terminal.run("control", "pause", "--queue", "rest")
        for ends in IN_STATE:
            order, job = Order(ends), jobs.get(HOLDS.get(ends, ends), jobs["play"])
            ids[ends] = job.enqueue(
                order,
                key="k-1" if ends == "parks" else None,
                delay={"delayed": "3h", "expires": "1s"}.get(ends),
                expires_in="1ms" if ends == "expires" else None,
            ).job_id
        for ends in ("done", "dies", "cancels", "expires", "twice"):
            served.end_of(ids[ends])
        yield terminal


def states(terminal: Terminal, *words: str) -> dict[str, str]:
    return {line["id"]: line["state"] for line in terminal.lines("jobs", *words)}


def test_each_job_is_told_in_its_state(terminal: Terminal, ids: dict[str, str]) -> None:
    expected = {ids[ends]: state for ends, state in IN_STATE.items()}

    wait_until(lambda: states(terminal) == expected, "each job is in its state", limit_s=LIMIT_S)

    assert set(IN_STATE.values()) == set(STATES), "every state is tried"
    counts = Counter(IN_STATE.values())
    told = terminal.said("jobs")
    order = [f"{counts[state]} {state}" for state in STATES if counts[state]]
    assert ", ".join(order) in told
    assert "--since looks further back" in told
    assert "workers answered" not in told, "the one there is was asked"
    lines = {line["id"]: line for line in terminal.lines("jobs")}
    why = {ends: lines[ids[ends]]["why"] for ends in IN_STATE}
    assert why["done"] is why["runs"] is None
    assert "queue rest is paused" in why["paused"]
    assert "failed: builtins.LookupError at " in why["fails"]
    assert why["fails"].startswith("due 20")
    assert why["parks"].startswith("due 20")
    assert why["dies"].startswith("dead_by_handler, ")
    assert why["cancels"] == "not wanted"
    assert lines[ids["parks"]]["key"] == "k-1"
    assert (lines[ids["fails"]]["attempt"], lines[ids["fails"]]["type"]) == (2, "play")
    assert lines[ids["delayed"]]["due_at"] > lines[ids["delayed"]]["since"]
    since = [line["since"] for line in terminal.lines("jobs")]
    assert since == sorted(since, reverse=True), "the newest first"


def test_options_narrow_down(terminal: Terminal, ids: dict[str, str]) -> None:
    dead = states(terminal, "--state", "dead", "--state", "cancelled")
    rest = states(terminal, "--queue", "rest")
    parks = states(terminal, "--type", "par*")
    limited = terminal.said("jobs", "--limit", "2")

    assert dead == {ids["dies"]: "dead", ids["cancels"]: "cancelled"}
    assert rest == {ids["paused"]: "waiting"}
    assert parks == {ids["parks"]: "retrying"}
    assert "9 more; raise --limit" in limited
    assert "no job type 'pay'; it has: play" in terminal.run("jobs", "--type", "pay", code=1)
    assert terminal.lines("jobs", "--since", "2100-01-01", "--state", "done") == []


def test_a_discarded_letter_is_told_as_closed(terminal: Terminal, ids: dict[str, str]) -> None:
    terminal.run("dlq", "discard", "--id", ids["dies"])

    (line,) = terminal.lines("jobs", "--state", "dead")

    assert (line["id"], line["why"]) == (ids["dies"], "dead_by_handler, letter closed")


def test_workers_that_cannot_be_asked_are_told_of(
    terminal: Terminal, ids: dict[str, str], tmp_path: Path
) -> None:
    elsewhere = Terminal(terminal.app, state_dir=tmp_path)

    told = elsewhere.said("jobs")

    assert "0 of 1 workers answered" in told
    assert states(elsewhere)[ids["runs"]] == "waiting"


def test_a_look_is_bounded_and_says_what_it_left_out(kafka: EmbeddedKafka, tmp_path: Path) -> None:
    app = app_at(kafka, tmp_path)
    Served(app)
    for start in range(0, MANY, 100):
        app.jobs["play"].enqueue_many(Order(str(n)) for n in range(start, start + 100))
    view = AppView(app.name, app.settings)

    bounded = jobs_now(view, view.queues(), Wanted(limit=5), [], most=MANY // 4)
    whole = jobs_now(view, view.queues(), Wanted(limit=5), [])

    assert 0 < bounded.records <= MANY // 4
    assert bounded.counts.total() + bounded.older == MANY
    assert (whole.records, whole.counts, whole.older) == (MANY, {"waiting": MANY}, 0)
    assert whole.jobs == bounded.jobs, "the newest in both"
    assert bounded.since_ms > whole.since_ms
    app.close()
