"""The projection on real Kafka: what it does while its database is away, and what it tells."""

from __future__ import annotations

import sqlite3
import time
import uuid
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from tests.harness.folded import rows_in, sqlite_in
from tests.harness.postgres import Postgres
from tests.harness.projections import folded_so_far, log_ends, projecting, straight
from tests.harness.served import Served
from tests.harness.waiting import wait_until

from jobstream import App
from jobstream.operate.view import AppView
from jobstream.views import beginning
from jobstream.views.database import opened
from jobstream.views.db_tables import jobs
from jobstream.views.errors import DatabaseAway, DatabaseNewer
from jobstream.views.migrating import migrate
from jobstream.views.rebuilding import rebuild
from jobstream.views.upkeep import EVERY_S
from jobstream.views.view_answers import JobFilter
from jobstream.views.views_reader import Views

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from jobstream.broker.embedded import EmbeddedKafka
    from jobstream.views.role import ViewsRole

pytestmark = pytest.mark.kafka
LIMIT_S = 120.0
DONE = JobFilter(types=("ship",), states=("done",))


@dataclass(frozen=True)
class Order:
    number: int


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The working directory, which may be one that nobody may write: nothing is left in it."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    yield
    assert not list(folder.iterdir())


@pytest.fixture
def served(kafka: EmbeddedKafka, tmp_path: Path) -> Iterator[Served]:
    servers, name = kafka.bootstrap_servers, f"looks-{uuid.uuid4().hex[:8]}"
    app = App(name, bootstrap_servers=servers, state_dir=tmp_path / "state", size="small")
    queue = app.queue("mail", partitions=2)

    @app.job(queue=queue)
    async def ship(order: Order) -> None:
        del order

    with Served(app) as made:
        yield made


def done(url: str) -> int:
    with closing(Views(url)) as views:
        return views.count(DONE).n


@contextmanager
def locked(url: str) -> Iterator[None]:
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_a_database_that_is_away_delays_and_loses_nothing(
    served: Served, tmp_path: Path, kind: str
) -> None:
    (job,) = served.app.jobs.values()
    job.enqueue_many([Order(n) for n in range(20)])
    if kind == "sqlite":
        url = sqlite_in(tmp_path)
        with projecting(served, url) as role:
            wait_until(lambda: done(url) == 20, "the first are there", limit_s=LIMIT_S)
            with locked(url):
                _meanwhile(served, role)
                assert done(url) == 20, "who only reads goes on"
            _catches_up(served, role, url)
        return
    with Postgres() as server, projecting(served, server.url) as role:
        wait_until(lambda: done(server.url) == 20, "the first are there", limit_s=LIMIT_S)
        server.stop()
        _meanwhile(served, role)
        with pytest.raises(DatabaseAway):
            done(server.url)
        server.start()
        _catches_up(served, role, server.url)


def test_an_assignment_that_is_given_up_is_made_anew(
    served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(beginning, "STAY_S_MAX", 0.0)
    (job,) = served.app.jobs.values()
    job.enqueue_many([Order(n) for n in range(20)])
    url = sqlite_in(tmp_path)
    with projecting(served, url) as role:
        # The group answers later than that.
        with locked(url):
            wait_until(
                lambda: any("could not be begun" in check.why for check in role.probes.started()),
                "it is given up",
                limit_s=LIMIT_S,
            )
            assert not all(check.ok for check in role.probes.ready())
        wait_until(lambda: done(url) == 20, "all are there", limit_s=LIMIT_S)
        wait_until(lambda: not role.projection.trouble, "it is over", limit_s=LIMIT_S)


def test_it_ends_only_after_its_look_at_the_database(served: Served, tmp_path: Path) -> None:
    url = sqlite_in(tmp_path)
    # Locked for longer than it runs; `projecting` sees at its end that nothing looks any more.
    with ExitStack() as after, projecting(served, url) as role:
        wait_until(lambda: role.upkeep.reads, "it looks", limit_s=LIMIT_S)
        after.enter_context(locked(url))
        late_s = role.upkeep.looked_mono + 1.5 * EVERY_S
        wait_until(lambda: time.monotonic() > late_s, "a look waits", limit_s=LIMIT_S)


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_a_rebuild_takes_the_place_of_the_running_rows(
    served: Served, tmp_path: Path, kind: str
) -> None:
    (job,) = served.app.jobs.values()
    job.enqueue_many([Order(n) for n in range(40)])
    with ExitStack() as stack:
        url = sqlite_in(tmp_path)
        if kind == "postgresql":
            url = stack.enter_context(Postgres()).url
        with projecting(served, url) as role:
            wait_until(lambda: done(url) == 40, "the first are there", limit_s=LIMIT_S)
            _damage(url)
            heard: list[tuple[int, int]] = []

            def hear(done: int, total: int) -> None:
                heard.append((done, total))

            rebuilt = rebuild(role.projection.view, url, hear)

            assert rebuilt >= 80
            assert heard[-1][0] == heard[-1][1] > 0, "it tells how far it is"
            job.enqueue_many([Order(100 + n) for n in range(10)])
            wait_until(lambda: done(url) == 50, "the projection goes on", limit_s=LIMIT_S)
            # That jobs are done is told by one of several topics; and the worker writes its last
            # places behind its last jobs.
            served.stop()
            view = AppView(served.app.name, served.app.settings)
            wait_until(
                lambda: folded_so_far(url) == log_ends(view), "all is folded", limit_s=LIMIT_S
            )
        engine = opened(url)
        found = rows_in(engine)
        engine.dispose()
        (tmp_path / "straight").mkdir()
        expected = straight(view, sqlite_in(tmp_path / "straight"))
        for table in ("jobs", "attempts", "tallies", "letters", "audit", "entries"):
            assert found[table] == expected[table], table


def test_what_came_during_a_rebuild_is_folded_though_nothing_comes_after_it(
    served: Served, tmp_path: Path
) -> None:
    (job,) = served.app.jobs.values()
    job.enqueue_many([Order(n) for n in range(40)])
    url = sqlite_in(tmp_path)
    with projecting(served, url) as role:
        wait_until(lambda: done(url) == 40, "the first are there", limit_s=LIMIT_S)
        came: list[str] = []

        def while_it_reads(_done: int, _total: int) -> None:
            if not came:
                came.extend(job.enqueue_many([Order(100 + n) for n in range(10)]))
                wait_until(lambda: done(url) == 50, "they are folded", limit_s=LIMIT_S)

        rebuild(role.projection.view, url, while_it_reads)

        wait_until(lambda: done(url) == 50, "they are folded again", limit_s=LIMIT_S)


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_a_rebuild_leaves_the_rows_of_a_newer_release_alone(
    served: Served, tmp_path: Path, kind: str
) -> None:
    (job,) = served.app.jobs.values()
    job.enqueue(Order(1))
    with ExitStack() as stack:
        url = sqlite_in(tmp_path)
        if kind == "postgresql":
            url = stack.enter_context(Postgres()).url
        engine = opened(url)
        stack.callback(engine.dispose)
        migrate(engine)
        before = rows_in(engine)

        def migrated_meanwhile(_done: int, _total: int) -> None:
            with engine.begin() as connection:
                connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")

        with pytest.raises(DatabaseNewer, match="newer than"):
            rebuild(AppView(served.app.name, served.app.settings), url, migrated_meanwhile)

        assert rows_in(engine) == before


def _damage(url: str) -> None:
    """Rows that no log tells of."""
    engine = opened(url)
    with engine.begin() as connection:
        connection.execute(jobs.update().values(state="lost", job_type="nothing"))
    engine.dispose()


def _meanwhile(served: Served, role: ViewsRole) -> None:
    """Jobs go on, and the projection says why it does not."""
    (job,) = served.app.jobs.values()
    job.enqueue_many([Order(100 + n) for n in range(30)])
    wait_until(lambda: bool(role.projection.trouble), "it is said", limit_s=LIMIT_S)
    checks = {check.name: check for check in role.probes.ready()}
    assert not checks["storing"].ok
    families = {family.name: family for family in role.metrics.collect()}
    assert families["jobs_views_stalled"].samples[0].value == 1


def _catches_up(served: Served, role: ViewsRole, url: str) -> None:
    wait_until(lambda: done(url) == 50, "all are there", limit_s=LIMIT_S)
    wait_until(lambda: not role.projection.trouble, "it is over", limit_s=LIMIT_S)
    view = AppView(served.app.name, served.app.settings)
    with closing(Views(url)) as views:
        assert views.freshness().incomplete == ()
        (stats,) = views.types(3_600)
        assert (stats.job_type, stats.done) == ("ship", 50)
        assert sum(total.n for total in views.totals()) == 50
        members = wait_until(views.workers, "members are listed", limit_s=LIMIT_S)
        assert {row.group for row in members} >= {served.app.name}
    assert log_ends(view) >= 100
