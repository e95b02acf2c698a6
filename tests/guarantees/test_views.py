"""The read side killed at any moment, or its database with it: rows as if nothing had happened."""

from __future__ import annotations

import random
import uuid
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import pytest
from tests.harness.folded import rows_in, sqlite_in
from tests.harness.postgres import Postgres
from tests.harness.projections import (
    DECIDED_ELSEWHERE,
    folded_so_far,
    log_ends,
    started,
    straight,
)
from tests.harness.served import Served
from tests.harness.waiting import wait_until
from tests.integration.foreign_client import put_raw

from jobstream import App, Backoff
from jobstream.operate.view import AppView
from jobstream.views.database import opened
from jobstream.views.view_answers import JobFilter
from jobstream.views.views_reader import Views

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from jobstream.broker.embedded import EmbeddedKafka

pytestmark = pytest.mark.kafka
LIMIT_S = 180.0
JOBS, KILLS = 400, 2


@dataclass(frozen=True)
class Order:
    number: int


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield sqlite_in(tmp_path)
    else:
        with Postgres() as server:
            yield server.url


@pytest.fixture
def served(kafka: EmbeddedKafka, tmp_path: Path) -> Iterator[Served]:
    app = App(
        f"views-{uuid.uuid4().hex[:8]}",
        bootstrap_servers=kafka.bootstrap_servers,
        state_dir=tmp_path / "state",
        size="small",
    )
    queue = app.queue("mail", partitions=3)

    @app.job(queue=queue, retry=Backoff(attempts=2, first="1s", jitter=False))
    async def ship(order: Order) -> None:
        if order.number % 7 == 3:
            message = f"no order {order.number}"
            raise LookupError(message)

    with Served(app) as made:
        yield made


def hostile(served: Served) -> int:
    """Bytes of no meaning in every topic that is read; returns in how many."""
    name = served.app.name
    topics = [f"{name}.mail{part}" for part in ("", ".retry.5s", ".dlq", ".dedup")]
    topics += [f"{name}.control", f"{name}.offsets"]
    servers = served.app.settings.bootstrap_servers
    for topic in topics:
        put_raw(servers, (topic, 0), (b"\xff\x00key", b"\x00\xff\xfe"), [(b"js-seq", b"x")])
        put_raw(servers, (topic, 0), (b"job:a:0", b"\xc3\x01"), [(b"name\xff", b"\x00")])
    return len(topics)


def test_kills_and_a_second_instance_leave_the_rows_of_a_straight_fold(
    served: Served, url: str, tmp_path: Path
) -> None:
    chance = random.Random(7)
    (job,) = served.app.jobs.values()
    view = AppView(served.app.name, served.app.settings)
    hostile(served)
    last = 0
    for round_ in range(KILLS):
        job.enqueue_many([Order(round_ * JOBS + n) for n in range(JOBS // KILLS)])
        victim = started(view, url, tmp_path)
        more = last + chance.randint(1, JOBS // KILLS)
        wait_until(partial(_is_beyond, url, more), "it folds", limit_s=LIMIT_S)
        victim.kill()
        victim.wait()
        last = folded_so_far(url)

    instances = [started(view, url, tmp_path) for _ in range(2)]
    try:
        group = f"{view.app}.views"
        wait_until(
            lambda: len(view.cluster.members(group)) == len(instances),
            "both are there",
            limit_s=LIMIT_S,
            every_s=0.5,
        )
        job.enqueue_many([Order(7 * n) for n in range(JOBS)])
        wait_until(lambda: _all_ended(url, 2 * JOBS), "all ended", limit_s=LIMIT_S, every_s=0.5)
        # Its last places are written behind its last jobs, and may be seen, but folded no more.
        served.stop()
        wait_until(
            lambda: folded_so_far(url) == log_ends(view),
            "all is folded",
            limit_s=LIMIT_S,
            every_s=0.5,
        )
    finally:
        for instance in instances:
            instance.terminate()
        codes = [instance.wait(LIMIT_S) for instance in instances]

    assert codes == [0, 0], (tmp_path / "views.log").read_text()[-3000:]
    engine = opened(url)
    found = rows_in(engine)
    engine.dispose()
    (tmp_path / "straight").mkdir()
    for table, rows in straight(view, sqlite_in(tmp_path / "straight")).items():
        if table not in DECIDED_ELSEWHERE:
            assert found[table] == rows, table
    with closing(Views(url)) as views:
        assert sum(each.n for each in views.unread()) >= 8, "what can't be read is counted"
        assert views.count(JobFilter(states=("dead",))).n >= JOBS // 8
        assert views.freshness().behind_records == 0


def _is_beyond(url: str, goal: int) -> bool:
    return folded_so_far(url) > goal


def _all_ended(url: str, jobs: int) -> bool:
    with closing(Views(url)) as views:
        ended = JobFilter(types=("ship",), states=("done", "dead"))
        return views.count(ended).n >= jobs
