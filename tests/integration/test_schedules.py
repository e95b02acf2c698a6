"""Schedules on a real Kafka: fired by a worker's roles, looked at and held by the command line."""

from __future__ import annotations

import threading
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from tests.harness.served import END_LIMIT_S, Served
from tests.harness.waiting import wait_until
from tests.integration.terminal import Terminal

from jobstream import App, Context
from jobstream_processors.core.identity import from_tick

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from jobstream.broker.embedded import EmbeddedKafka

pytestmark = pytest.mark.kafka


@dataclass(frozen=True)
class Report:
    kind: str = "sales"


class Planner:
    """A served app with a schedule, and what its jobs saw."""

    def __init__(self, kafka: EmbeddedKafka, folder: Path) -> None:
        self._lock = threading.Lock()
        self._seen: list[tuple[str, datetime]] = []
        self.app = app = App(
            f"planner-{uuid.uuid4().hex[:8]}",
            size="small",
            bootstrap_servers=kafka.bootstrap_servers,
            state_dir=folder,
            replication=1,
        )

        @app.cron("* * * * * *", tz="Europe/Berlin", missed="all", overlap="allow")
        @app.job
        async def report(args: Report, ctx: Context) -> None:
            assert ctx.scheduled_for is not None
            with self._lock:
                self._seen.append((args.kind, ctx.scheduled_for))

        self.report = report
        self.served = Served(app)
        self.terminal = Terminal(app)

    def seen(self, kind: str = "sales") -> list[datetime]:
        """The ticks of jobs of that kind that ran."""
        with self._lock:
            return [at for each, at in self._seen if each == kind]


def fired(terminal: Terminal) -> int:
    """Ticks that became jobs so far."""
    count: int = terminal.json("schedules", "list")[0]["ticks"]["fired"]
    return count


@pytest.fixture
def planner(kafka: EmbeddedKafka, tmp_path: Path) -> Iterator[Planner]:
    made = Planner(kafka, tmp_path)
    yield made
    made.served.close()


def test_schedules_fire_are_paused_run_backfilled_and_survive_a_deploy(planner: Planner) -> None:
    served, terminal = planner.served, planner.terminal
    served.start()
    wait_until(lambda: len(planner.seen()) >= 5, "it fires", limit_s=END_LIMIT_S)
    (listed,) = terminal.json("schedules", "list")
    assert listed["when"] == "* * * * * * (Europe/Berlin)"
    assert listed["ticks"]["fired"] >= 4

    job_id = from_tick("report", round(planner.seen()[0].timestamp() * 1_000))
    assert "made by schedule report, tick " in terminal.run("job", "show", job_id)
    assert terminal.json("explain", job_id)["schedule"] == "report"

    terminal.run("schedules", "pause", "report", "--why", "numbers are wrong", "--who", "ann")
    assert "by ann: numbers are wrong" in terminal.run("schedules", "list")
    wait_until(
        lambda: "1, report is paused" in terminal.run("status"),
        "status shows it",
        limit_s=END_LIMIT_S,
    )
    wait_until(
        lambda: terminal.json("schedules", "list")[0]["ticks"]["skipped"] > 2,
        "it skips",
        limit_s=END_LIMIT_S,
    )
    # That it skips is told before the jobs of the last ticks have run.
    wait_until(
        lambda: len(planner.seen()) == fired(terminal),
        "all ran that were fired",
        limit_s=END_LIMIT_S,
    )
    before = len(planner.seen())
    terminal.run("schedules", "run", "report")
    wait_until(lambda: len(planner.seen()) == before + 1, "it runs once", limit_s=END_LIMIT_S)
    paused_at = planner.seen()[-1]

    served.stop()
    served.start(only="scheduler")
    terminal.run("schedules", "resume", "report")
    wait_until(
        lambda: (
            terminal.json("schedules", "list")[0]["ticks"]["fired"] > listed["ticks"]["fired"] + 3
        ),
        "it goes on",
        limit_s=END_LIMIT_S,
    )
    served.stop()
    served.start()
    wait_until(lambda: planner.seen()[-1] > paused_at, "workers follow", limit_s=END_LIMIT_S)

    ticks = sorted(planner.seen())
    assert len(ticks) == len(set(ticks)), "no tick ran twice"
    start, end = paused_at - timedelta(hours=1), paused_at - timedelta(minutes=59)
    told = terminal.run("schedules", "backfill", "report", "--from", start.isoformat(),
                        "--to", end.isoformat())  # fmt: skip
    assert "fires for 6" in told
    wait_until(
        lambda: sum(start <= at <= end for at in planner.seen()) in {60, 61},
        "the minute is filled",
        limit_s=END_LIMIT_S,
    )


def test_schedules_are_added_previewed_and_removed(planner: Planner) -> None:
    served, terminal, app = planner.served, planner.terminal, planner.app
    app.schedules.add("more", planner.report, Report("more"), every="1s", spread="1s")
    served.start()
    wait_until(lambda: len(planner.seen("more")) >= 2, "it fires", limit_s=END_LIMIT_S)

    (first, *_) = terminal.run("schedules", "preview", "more", "--count", "3").splitlines()
    assert datetime.fromisoformat(first) > datetime.now(UTC) - timedelta(seconds=60)
    terminal.run("schedules", "remove", "more")
    assert [each["name"] for each in terminal.json("schedules", "list")] == ["report"]
    assert "no schedule 'more'; there are: report" in terminal.run(
        "schedules", "pause", "more", code=1
    )
