"""What leaves the tables: jobs by age and count, letters past retention; topics that are gone."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import insert, select, update
from tests.harness.folded import logs_of, made, sqlite_in, whole
from tests.harness.played_shop import Shop, opened

from jobstream.views import database
from jobstream.views.db_tables import attempts, jobs, letters, minutes, places, tallies
from jobstream.views.freshness import freshness
from jobstream.views.left_behind import GONE, close_places, come_back, forget_letters, leave_topics
from jobstream.views.shown import LIVE
from jobstream.views.views_retention import MINUTES_MS, Keep, delete_old

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sqlalchemy import Engine

FOR_EVER_MS = 10**15
PLAYED = [(("ok",), "now"), (("dead",), "now"), (("ok",), "delayed"), (("fail", "ok"), "now")]


@pytest.fixture(scope="module")
def shop() -> Iterator[Shop]:
    with opened() as played:
        for _ in range(10):
            played.play([(PLAYED, "15m", "")])
        yield played


@pytest.fixture
def engine(tmp_path: Path, shop: Shop) -> Iterator[Engine]:
    found = database.opened(sqlite_in(tmp_path))
    writer = made(found, shop.jobs.broker, "shop")
    writer.write([whole(*each) for each in logs_of(shop.jobs.broker).items()])
    yield found
    found.dispose()


def at_of(engine: Engine) -> dict[str, tuple[int, str]]:
    with engine.connect() as connection:
        rows = connection.execute(select(jobs.c.id, jobs.c.at_ms, jobs.c.state))
        return {row.id: (row.at_ms, row.state) for row in rows}


def assert_whole(engine: Engine) -> None:
    """Tallies count the rows there are, and no attempt is left without its job."""
    with engine.connect() as connection:
        rows = connection.execute(select(jobs.c.queue, jobs.c.job_type, jobs.c.state)).all()
        told = {tuple(row[:3]): row.n for row in connection.execute(select(tallies))}
        ids = set(connection.execute(select(jobs.c.id)).scalars())
        named = set(connection.execute(select(attempts.c.job_id)).scalars())
    assert told == Counter(tuple(row) for row in rows)
    assert named <= ids


def test_jobs_that_ended_long_ago_leave_with_all_that_is_theirs(engine: Engine) -> None:
    before = at_of(engine)
    ended = sorted(at for at, state in before.values() if state not in LIVE)
    middle = ended[len(ended) // 2]

    deleted = delete_old(engine, Keep(jobs_ms=0), middle)

    left = at_of(engine)
    assert deleted == len(before) - len(left) > 0
    assert all(at >= middle for at, state in left.values() if state not in LIVE)
    assert {each for each in before if before[each][1] in LIVE} <= left.keys()
    assert_whole(engine)
    assert delete_old(engine, Keep(jobs_ms=0), middle) == 0


def test_of_too_many_jobs_those_that_ended_first_leave(engine: Engine) -> None:
    before = at_of(engine)
    live = {each for each, (_, state) in before.items() if state in LIVE}
    most = len(live) + 5

    delete_old(engine, Keep(FOR_EVER_MS, most), 0)

    left = at_of(engine)
    newest = sorted((at for at, state in before.values() if state not in LIVE), reverse=True)
    assert len(left) == most
    assert live <= left.keys()
    assert (
        sorted((at for at, state in left.values() if state not in LIVE), reverse=True) == newest[:5]
    )
    assert_whole(engine)
    delete_old(engine, Keep(FOR_EVER_MS, 1), 0)
    assert at_of(engine).keys() == live, "a job that waits is kept, however many there are"


def test_windows_of_two_days_ago_leave(engine: Engine) -> None:
    with engine.connect() as connection:
        newest = max(connection.execute(select(minutes.c.minute)).scalars())
        there = len(connection.execute(select(minutes)).all())

    delete_old(engine, Keep(FOR_EVER_MS), newest * 60_000 + MINUTES_MS)

    with engine.connect() as connection:
        left = set(connection.execute(select(minutes.c.minute)).scalars())
    assert left == {newest}
    assert there > 1


def test_letters_that_retention_deleted_are_forgotten_and_their_jobs_stay(engine: Engine) -> None:
    with engine.connect() as connection:
        found = connection.execute(select(letters)).all()
    place = found[0].topic, found[0].partition
    offsets = sorted(each.offset for each in found if (each.topic, each.partition) == place)
    low = offsets[len(offsets) // 2]

    with engine.begin() as connection:
        forgotten = forget_letters(connection, {place: low})

    gone = {
        each.job_id for each in found if (each.topic, each.partition) == place and each.offset < low
    }
    with engine.connect() as connection:
        left = connection.execute(select(letters)).all()
        open_ = {
            row.id: row.letter_open
            for row in connection.execute(select(jobs.c.id, jobs.c.letter_open))
        }
    assert forgotten == len(found) - len(left) == len(gone) > 0
    assert not any(open_[each] for each in gone)
    assert all(open_[each.job_id] for each in left)


def test_a_topic_that_is_gone_makes_no_answer_old(engine: Engine) -> None:
    now_ms = FOR_EVER_MS
    with engine.begin() as connection:
        ids = set(connection.execute(select(places.c.topic_id)).scalars())
        connection.execute(update(places).values(checked_ms=now_ms, end=places.c.next))
        row = {"topic_id": "old", "partition": 0, "topic": "shop.mail", "next": 3, "end": 9,
               "record_ms": 1, "checked_ms": 1}  # fmt: skip
        connection.execute(insert(places), [row])
        before = freshness(connection, now_ms)
        close_places(connection, ids, now_ms)
        after = freshness(connection, now_ms)
        (kept,) = connection.execute(select(places).where(places.c.topic_id == "old")).all()

    assert (before.behind_records, before.as_of_ms) == (6, 1)
    assert (after.behind_records, after.behind_s) == (0, 0.0)
    assert kept.next == 3, "should it come into sight again, reading goes on there"


def ids_of(engine: Engine, topic: str) -> set[str]:
    with engine.connect() as connection:
        ids = connection.execute(select(places.c.topic_id).where(places.c.topic == topic))
        return set(ids.scalars())


def test_a_topic_that_was_deleted_is_named_once_and_leaves_no_letter_open(engine: Engine) -> None:
    with engine.connect() as connection:
        (topic,) = set(connection.execute(select(letters.c.topic)).scalars())
    gone = ids_of(engine, topic)

    with engine.begin() as connection:
        connection.execute(update(places).values(checked_ms=1))
        first = leave_topics(connection, gone, 1)
        again = leave_topics(connection, gone, 2)
        told = freshness(connection, 3).incomplete
        left = connection.execute(select(letters)).all()
        open_ = connection.execute(select(jobs).where(jobs.c.letter_open)).all()
        come_back(connection, {topic})
        after = freshness(connection, 3).incomplete

    assert first == again == [topic]
    assert len(told) == 1, "one sentence, however many partitions"
    assert told[0].startswith(topic)
    assert told[0].endswith(GONE)
    assert left == open_ == []
    assert after == (), "it is there again"


def test_letters_of_a_topic_that_is_read_again_stay_when_its_old_place_is_left(
    engine: Engine,
) -> None:
    with engine.connect() as connection:
        before = connection.execute(select(letters)).all()
    topic = before[0].topic
    row = {"topic_id": "old", "partition": 0, "topic": topic, "next": 3, "end": 9, "record_ms": 1,
           "checked_ms": 1}  # fmt: skip

    with engine.begin() as connection:
        connection.execute(insert(places), [row])
        connection.execute(update(places).values(checked_ms=1))
        assert leave_topics(connection, {"old"}, 1) == []
        assert connection.execute(select(letters)).all() == before
        assert freshness(connection, 3).incomplete == ()
