"""Answers over a database that a real log was folded into, and the log where it does not serve."""

from __future__ import annotations

import sqlite3
import sys
import threading
import time
from collections import Counter
from contextlib import closing
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
from tests.harness.folded import logs_of, made, sqlite_in, whole
from tests.harness.played_shop import Turn, opened
from tests.harness.web_calls import WebSide, shop

from jobstream.acting import job_acts
from jobstream.acting.act_record import ActedBy
from jobstream.acting.expected import MoreThanExpected
from jobstream.acting.job_acts import JobsMeant, cancel_jobs, would_cancel
from jobstream.answers import jobs_matching, read_side
from jobstream.answers.app_site import Site
from jobstream.answers.audit_screen import audit
from jobstream.answers.errors import NotFromViews
from jobstream.answers.health_screen import views_part
from jobstream.answers.job_family import job_family
from jobstream.answers.job_screen import job_from_views
from jobstream.answers.jobs_answer import JobRow, JobsWanted
from jobstream.answers.jobs_screen import jobs
from jobstream.answers.kept import AnswerCache
from jobstream.answers.log_readers import LogReaders
from jobstream.answers.read_side import ReadSide
from jobstream.answers.types_screen import type_rates
from jobstream.errors import BrokerUnavailable, ConfigError
from jobstream.operate.job_list import JobList
from jobstream.views import database
from jobstream.views.errors import DatabaseRefused
from jobstream.web.api_route import V1
from jobstream_processors.core.orders import Order

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from jobstream.operate.view import AppView

LIMIT_S = 60.0
PLAYED: list[Turn] = [
    ([(("ok",), "now"), (("fail", "ok"), "now")], "1s", ""),
    ([(("dead",), "now"), (("ok",), "delayed")], "1s", ""),
]  # fmt: skip
EVERY = JobsWanted()
FRESH_S = 600.0
"""The views and what was read of the log are no older, though a busy machine needs its time."""
BEHIND_MS = 601_000
BY = ActedBy("eve", "desk")


@pytest.fixture(scope="module")
def folded(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A database of a short life."""
    folder = tmp_path_factory.mktemp("folded")
    with opened() as played:
        played.play(PLAYED)
        engine = database.opened(sqlite_in(folder))
        writer = made(engine, played.jobs.broker, "shop")
        writer.write([whole(*each) for each in logs_of(played.jobs.broker).items()])
        engine.dispose()
    with closing(sqlite3.connect(folder / "views.sqlite3")) as connection:
        connection.execute("PRAGMA journal_mode=DELETE")
    return (folder / "views.sqlite3").read_bytes()


@pytest.fixture
def file(tmp_path: Path, folded: bytes) -> Path:
    """The same where `jobstream views` keeps it, looked at now."""
    path = tmp_path / "shop" / "views.sqlite3"
    path.parent.mkdir()
    path.write_bytes(folded)
    looked_at(path, 0)
    return path


@pytest.fixture
def web(tmp_path: Path) -> Iterator[WebSide]:
    """An application whose brokers are away, so that the log answers nothing new."""
    app = shop(bootstrap_servers="127.0.0.1:1", state_dir=tmp_path, enqueue_timeout="100ms")
    found = WebSide(tmp_path, app)
    found.site.read_side = ReadSide(app.name, app.settings, None, fresh_s=FRESH_S)
    yield found
    found.desk.close()


@pytest.fixture(autouse=True)
def _time_to_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """A database answers late on a busy machine, too."""
    monkeypatch.setattr(read_side, "WAIT_S", LIMIT_S)
    monkeypatch.setattr(read_side, "STATEMENT_S", LIMIT_S)


def change(path: Path, statement: str, value: int | str) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(statement, (value,))
        connection.commit()


def let_all_wait(path: Path) -> None:
    change(path, "UPDATE jobs SET state = ?", "waiting")
    # What is not tallied is not looked for.
    change(path, "UPDATE OR REPLACE tallies SET state = ?", "waiting")


def looked_at(path: Path, ago_ms: int) -> None:
    """As the projection leaves it when it has read everything."""
    now_ms = time.time_ns() // 1_000_000
    change(path, "UPDATE places SET checked_ms = ?, next = end", now_ms - ago_ms)


def log_was_read(site: Site, wanted: JobsWanted = EVERY) -> None:
    """A reading of the log a moment ago, which found no job."""
    held: tuple[JobList, list[JobRow]] = (JobList([], Counter(), 0, 0, 0), [])
    site.kept = AnswerCache(fresh_s=FRESH_S)
    site.kept.get(("jobs", wanted), lambda: held)


@pytest.mark.usefixtures("file")
def test_jobs_of_any_age_are_found_by_text_filter_and_page(web: WebSide) -> None:
    found = web.ask("GET", f"{V1}/jobs").json()

    assert found["as_of"]["source"] == "views"
    assert found["as_of"]["age_s"] < FRESH_S
    assert found["since"] is None
    assert len(found["jobs"]) == 4
    assert {name: n for name, n in found["counts"].items() if n} == {
        state: sum(job["state"] == state for job in found["jobs"])
        for state in {job["state"] for job in found["jobs"]}
    }
    dead = web.ask("GET", f"{V1}/jobs", params={"state": "dead", "text": "ORDER"}).json()
    assert [job["state"] for job in dead["jobs"]] == ["dead"]
    by_args = web.ask("GET", f"{V1}/jobs", params={"text": '"number": 1'}).json()
    by_args_tight = web.ask("GET", f"{V1}/jobs", params={"text": '"number":1'}).json()
    assert len(by_args["jobs"]) + len(by_args_tight["jobs"]) == 1
    paged, after = [], ""
    for _ in range(4):
        page = web.ask("GET", f"{V1}/jobs", params={"limit": 1, "after": after}).json()
        paged += [job["id"] for job in page["jobs"]]
        after = page["after"]
    assert paged == [job["id"] for job in found["jobs"]]
    assert after == ""
    assert web.ask("GET", "/jobs", params={"text": "order"}).status_code == 200


def test_jobs_whose_unique_key_another_job_has_are_found_and_counted(
    web: WebSide, file: Path
) -> None:
    change(file, "UPDATE jobs SET state = ? WHERE state = 'dead'", "duplicate")
    change(file, "UPDATE OR REPLACE tallies SET state = ? WHERE state = 'dead'", "duplicate")

    found = web.ask("GET", f"{V1}/jobs", params={"state": "duplicate"})

    assert found.status_code == 200
    assert [job["state"] for job in found.json()["jobs"]] == ["duplicate"]
    assert found.json()["counts"]["duplicate"] == 1


@pytest.mark.usefixtures("file")
def test_all_jobs_that_match_are_read_page_by_page(
    web: WebSide, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs_matching, "PAGE", 1)
    listed = jobs(web.site, EVERY).jobs
    states = tuple({row.state for row in listed})

    found = jobs_matching.jobs_matching(web.site, JobsWanted(states), 100)
    some = jobs_matching.jobs_matching(web.site, JobsWanted(states), 2)

    assert (found.source, found.older) == ("views", 0)
    assert [row.id for row in found.jobs] == [row.id for row in listed]
    assert [row.id for row in some.jobs] == [row.id for row in listed[:2]]


@pytest.mark.parametrize("after", ["WzEsMl0", "WzEwMDAwMDAwMDAwMDAwMDAwMDAwMDAwLDFd", "W10", "x"])
@pytest.mark.usefixtures("file")
def test_a_place_of_nobody_is_refused_and_one_of_the_views_is_not(web: WebSide, after: str) -> None:
    status = web.ask("GET", f"{V1}/jobs", params={"after": after}).status_code
    assert status == (200 if after == "WzEsMl0" else 422)


@pytest.mark.usefixtures("file")
def test_types_audit_health_and_a_job_that_the_log_lost(web: WebSide) -> None:
    site = web.site
    rates, told = type_rates(site)
    listed = jobs(site, JobsWanted(states=("dead",)))
    answer = job_from_views(site, listed.jobs[0].id)

    assert told.source == "views"
    assert all(rate.failed >= rate.dead >= 0 for rate in rates.values())
    assert audit(site).as_of.source == "views"
    assert views_part(site).ok
    assert answer is not None
    assert (answer.state, answer.has_ended, answer.as_of.source) == ("dead", True, "views")
    assert answer.steps
    assert answer.traceback or answer.args
    assert job_from_views(site, "none-such") is None


def test_without_a_database_the_log_answers_as_before(web: WebSide) -> None:
    log_was_read(web.site)

    found = jobs(web.site, EVERY)

    assert (found.as_of.source, found.as_of.why_log) == ("log", "")
    assert web.site.read_side.state() is None
    part = views_part(web.site)
    assert part.ok
    assert "no database" in part.said


def test_a_database_that_was_named_and_is_not_there_is_said_and_not_made(tmp_path: Path) -> None:
    path = tmp_path / "no.sqlite3"
    site = Site.of(shop(state_dir=tmp_path), f"sqlite:///{path}")
    log_was_read(site)

    assert "there is no database" in jobs(site, EVERY).as_of.why_log
    assert not path.exists()
    assert not views_part(site).ok
    site.close()
    with pytest.raises(DatabaseRefused):
        Site.of(shop(state_dir=tmp_path), "mysql://a/b").read_side.require()


def test_views_that_are_behind_leave_it_to_the_log(web: WebSide, file: Path) -> None:
    looked_at(file, BEHIND_MS)
    log_was_read(web.site)

    found = jobs(web.site, EVERY)

    assert found.as_of.source == "log"
    assert "behind" in found.as_of.why_log
    assert not views_part(web.site).ok


def test_views_that_are_behind_answer_where_the_log_is_away_too(web: WebSide, file: Path) -> None:
    looked_at(file, BEHIND_MS)

    def away() -> AppView:
        message = "no broker answers"
        raise BrokerUnavailable(message)

    web.site.readers = LogReaders(away)
    found = jobs(web.site, EVERY)

    assert found.as_of.source == "views"
    assert found.as_of.age_s > FRESH_S
    assert "behind" in found.as_of.stale
    assert len(found.jobs) == 4


def test_a_locked_database_costs_a_bounded_time_once(
    web: WebSide, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(read_side, "STATEMENT_S", 0.05)
    monkeypatch.setattr(read_side, "REST_S", FRESH_S)
    log_was_read(web.site)
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        first = jobs(web.site, EVERY)
        answered = web.ask("GET", f"{V1}/jobs").status_code
    second = jobs(web.site, EVERY)

    assert "locked" in first.as_of.why_log
    assert second.as_of.why_log == first.as_of.why_log, "it is left alone for a time"
    assert answered == 200


def test_parent_and_children_are_those_that_the_caller_may_see(web: WebSide, file: Path) -> None:
    child, parent, *_ = (row.id for row in jobs(web.site, EVERY).jobs)
    change(file, f"UPDATE jobs SET parent_id = ? WHERE id = '{child}'", parent)  # noqa: S608 - ours

    above = job_family(web.site, child, lambda _: True)
    below = job_family(web.site, parent, lambda _: True)
    hidden = job_family(web.site, parent, lambda queue: queue == "other")

    assert above is not None
    assert above.parent is not None
    assert (above.parent.id, above.children) == (parent, ())
    assert below is not None
    assert ([row.id for row in below.children], below.has_more) == ([child], False)
    assert hidden is not None
    assert hidden.children == ()


@pytest.mark.usefixtures("file")
def test_without_the_extra_the_log_answers_and_health_names_it(
    web: WebSide, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "jobstream.views.database", None)
    log_was_read(web.site)

    assert jobs(web.site, EVERY).as_of.source == "log"
    assert "jobstream[views]" in views_part(web.site).said


@pytest.mark.usefixtures("file")
def test_a_question_that_hangs_is_left_behind(
    web: WebSide, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(read_side, "WAIT_S", 0.05)
    free = threading.Event()
    with pytest.raises(NotFromViews, match="did not answer"):
        web.site.read_side.ask(lambda _: free.wait(LIMIT_S))
    free.set()


@pytest.mark.parametrize(("revision", "said"), [("9999", "newer"), ("0000", "views migrate")])
def test_tables_of_another_version_leave_it_to_the_log(
    web: WebSide, file: Path, revision: str, said: str
) -> None:
    web.site.read_side.ask(lambda views: views.totals())
    change(file, "UPDATE alembic_version SET version_num = ?", revision)
    log_was_read(web.site)

    assert said in jobs(web.site, EVERY).as_of.why_log


@pytest.mark.parametrize("text", ["\0", "\udc80", "%" * 5_000])
@pytest.mark.usefixtures("file")
def test_texts_that_a_database_can_not_take_are_no_error(web: WebSide, text: str) -> None:
    wanted = JobsWanted(text=text)
    log_was_read(web.site, wanted)

    assert jobs(web.site, wanted).jobs == ()


@pytest.mark.usefixtures("file")
def test_since_is_a_bound_of_the_views_too(web: WebSide) -> None:
    found = jobs(web.site, JobsWanted(since=datetime(9_000, 1, 1, tzinfo=UTC)))
    assert (found.as_of.source, found.jobs) == ("views", ())


@pytest.mark.usefixtures("file")
@pytest.mark.parametrize("wanted", [JobsWanted(text=""), JobsWanted(key=""), JobsWanted()])
def test_an_empty_filter_means_no_job(web: WebSide, wanted: JobsWanted) -> None:
    with pytest.raises(ConfigError, match="give a filter, or everything"):
        would_cancel(web.site, JobsMeant(wanted))


def test_more_than_was_counted_is_refused_where_it_is_done(web: WebSide, file: Path) -> None:
    let_all_wait(file)
    meant = JobsMeant(EVERY, everything=True, expected=3)
    with pytest.raises(MoreThanExpected, match="4 jobs match by now, and 3 were expected"):
        cancel_jobs(web.site, web.desk.operations, BY, meant, None)
    assert web.desk.operations.list() == ()


def test_no_more_is_cancelled_than_workers_can_keep(
    web: WebSide, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    let_all_wait(file)
    held = Order("cancel", "a-job", "eve", "", 0, 1, {})
    monkeypatch.setattr(job_acts, "HELD_MAX", 4)
    monkeypatch.setattr(web.site.look, "now", lambda: (SimpleNamespace(orders=(held,)), None))

    with pytest.raises(ConfigError, match="1 cancels are in force"):
        cancel_jobs(web.site, web.desk.operations, BY, JobsMeant(EVERY, everything=True), None)
