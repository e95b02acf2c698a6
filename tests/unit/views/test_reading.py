"""The answers of the read side over tables that a real log was folded into."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tests.harness.folded import logs_of, made, sqlite_in, whole
from tests.harness.played_shop import Shop, Turn, opened

from jobstream.views import database
from jobstream.views.asking import BadCursor
from jobstream.views.errors import DatabaseOlder
from jobstream.views.view_answers import JobFilter
from jobstream.views.views_reader import Views

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PLAYED: list[Turn] = [
    ([(("ok",), "now"), (("fail", "ok"), "now"), (("dead",), "now")], "1s", ""),
    ([(("fail",), "in_place"), (("ok",), "delayed"), (("fail",) * 3, "now")], "1s", ""),
    ([], "3h", "redrive"),
    ([(("snooze",), "now"), (("cancel",), "now"), (("ok",), "expires")], "1s", ""),
]  # fmt: skip


@pytest.fixture(scope="module")
def shop() -> Iterator[Shop]:
    with opened() as played:
        played.play(PLAYED)
        yield played


@pytest.fixture(scope="module")
def url(shop: Shop, tmp_path_factory: pytest.TempPathFactory) -> str:
    found = sqlite_in(tmp_path_factory.mktemp("views"))
    engine = database.opened(found)
    writer = made(engine, shop.jobs.broker, "shop")
    writer.write([whole(*each) for each in logs_of(shop.jobs.broker).items()])
    engine.dispose()
    return found


@pytest.fixture
def views(url: str) -> Iterator[Views]:
    with Views(url) as found:
        yield found


def test_every_job_is_told_as_the_log_tells_it(views: Views, shop: Shop) -> None:
    told, _ = shop.look(recorded=False)

    found = {job.id: job for job in views.jobs(limit=500).rows}
    assert {job.id: (job.state, job.at_ms) for job in told} == {
        job.id: (job.state, job.at_ms) for job in found.values()
    }
    for job in told:
        row = found[job.id]
        assert (row.job_type, row.queue, row.rung, row.due_ms, row.attempts) == (
            job.job_type, job.queue, job.rung, job.due_ms, job.attempt,
        )  # fmt: skip
        assert row.letter_open == (job.state == "dead" and not job.letter_closed)


def test_pages_meet_and_hold_every_job_once(views: Views) -> None:
    whole_list = [job.id for job in views.jobs(limit=500).rows]
    paged: list[Any] = []
    after = None
    while True:
        page = views.jobs(after=after, limit=2)
        paged += [job.id for job in page.rows]
        after = page.next
        if after is None:
            break

    assert paged == whole_list
    assert len(set(paged)) == len(paged) > 6


@pytest.mark.parametrize(
    "wanted",
    [
        JobFilter(states=("done",)),
        JobFilter(states=("done", "cancelled"), types=("by_ladder",)),
        JobFilter(queues=("mail",), states=("dead",)),
        JobFilter(types=("in_place",), queues=("mail",)),
        JobFilter(text='"number":2'),
        JobFilter(text="OSERROR"),
        JobFilter(key="one"),
        JobFilter(key="one", states=("done",)),
        JobFilter(types=("nothing",)),
        JobFilter(since_ms=1, until_ms=2**40),
    ],
)
def test_a_filter_finds_what_a_look_at_every_row_finds(views: Views, wanted: JobFilter) -> None:
    expected = [
        job.id
        for job in views.jobs(limit=500).rows
        if (not wanted.states or job.state in wanted.states)
        and (not wanted.types or job.job_type in wanted.types)
        and (not wanted.queues or job.queue in wanted.queues)
        and (not wanted.key or job.key == wanted.key)
        and wanted.text.lower() in f"{job.args} {job.id} {job.error} {job.message}".lower()
        and (wanted.since_ms is None or job.at_ms >= wanted.since_ms)
        and (wanted.until_ms is None or job.at_ms < wanted.until_ms)
    ]

    assert [job.id for job in views.jobs(wanted, limit=500).rows] == expected
    assert views.count(wanted).n == len(expected)


def test_a_job_shows_its_attempts_and_its_history(views: Views) -> None:
    (redriven,) = [job for job in views.jobs(limit=500).rows if job.redrive]
    detail = views.job(redriven.id)

    assert detail is not None
    assert [(a.redrive, a.attempt, a.outcome) for a in detail.attempts][-1][2] == redriven.state
    assert detail.events.rows[0].what == "queued"
    assert [entry.at_ms for entry in detail.events.rows] == sorted(
        entry.at_ms for entry in detail.events.rows
    )
    assert views.job("nobody") is None
    assert views.events("nobody").rows == ()
    assert any(a.outcome == "dead" for a in detail.attempts), "an end of a redrive is kept"


def test_events_go_on_where_a_page_ended(views: Views) -> None:
    (redriven,) = [job for job in views.jobs(limit=500).rows if job.redrive]
    every = views.events(redriven.id, limit=500).rows
    paged: list[Any] = []
    after = None
    while True:
        page = views.events(redriven.id, after, limit=1)
        paged += page.rows
        after = page.next
        if after is None:
            break

    assert tuple(paged) == every
    assert len(every) >= 4


def test_totals_types_and_letters_count_what_there_is(views: Views, shop: Shop) -> None:
    rows = views.jobs(limit=500).rows
    totals = {(t.queue, t.job_type, t.state): t.n for t in views.totals()}
    assert sum(totals.values()) == len(rows)
    for key, n in totals.items():
        assert n == sum((row.queue, row.job_type, row.state) == key for row in rows)

    stats = {each.job_type: each for each in views.types(86_400)}
    done = sum(row.state == "done" for row in rows)
    assert sum(each.done for each in stats.values()) == done
    assert sum(group.count for group in views.dead_groups()) == len(shop.letters())


def test_bad_cursors_and_other_tables_are_refused_by_name(views: Views, tmp_path: Path) -> None:
    for after in ("x", "bnVsbA", "WzFd", "WyJhIiwiYiJd"):
        with pytest.raises(BadCursor, match="leave it out"):
            views.jobs(after=after)
    with Views(sqlite_in(tmp_path)) as empty, pytest.raises(DatabaseOlder, match="views migrate"):
        empty.jobs()
