"""Marks are deleted when no job can come back to them, and no sooner."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from sqlalchemy import insert, select, update
from sqlalchemy.orm import Session
from tests.unit.sql.ledger import Receipt, count, sqlite

from jobstream import App, ConfigError
from jobstream.sql import once, sweep_inbox
from jobstream.sql import sweeping as module
from jobstream.sql.schema import inbox, inbox_owners
from jobstream.sql.sweeping import lives_ms
from jobstream.testing import context

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy.engine import Engine

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    return sqlite(tmp_path / "shop.db")


def app() -> App:
    made = App("shop")
    made.queue("mail", retention="2d", dedup="1d")
    return made


def marks(engine: Engine, **ages_ms: int) -> None:
    with engine.begin() as connection:
        for job_id, age_ms in ages_ms.items():
            row = {"job_id": job_id, "step": "", "topic": "shop.mail", "job_type": "send"}
            connection.execute(insert(inbox).values(**row))
            mine = inbox.c.job_id == job_id
            aged = inbox.c.done_ms - age_ms
            connection.execute(update(inbox).where(mine).values(done_ms=aged))


def left(engine: Engine) -> list[str]:
    with engine.connect() as connection:
        return sorted(connection.execute(select(inbox.c.job_id)).scalars())


def test_they_outlive_ladder_and_queue(engine: Engine) -> None:
    """The dedup window of a day, the two weeks that a rung keeps a job, the retention of two."""
    marks(engine, young=HOUR_MS, waits=17 * DAY_MS, old=18 * DAY_MS)

    assert sweep_inbox(engine, app()) == 1
    assert left(engine) == ["waits", "young"]


def test_a_job_that_goes_on_for_months_keeps_its_mark(engine: Engine) -> None:
    """Each snooze is a new copy in the log, so only the wait between two runs has a bound."""
    shop = app()

    @shop.job(queue=shop.queues["mail"])
    def parcel(args: Receipt) -> None:
        """Nothing."""

    ctx, told = context(parcel), []
    aged = update(inbox).values(done_ms=inbox.c.done_ms - DAY_MS, topic="shop.mail")
    for _ in range(60):
        with Session(engine) as session, session.begin(), once(session, ctx) as first:
            told.append(bool(first))
        with engine.begin() as connection:
            connection.execute(aged)
        assert sweep_inbox(engine, shop) == 0

    assert told == [True] + [False] * 59


def test_another_life_may_be_asked_for_but_no_shorter_one_than_the_window(engine: Engine) -> None:
    marks(engine, young=HOUR_MS, settled=2 * DAY_MS)

    assert sweep_inbox(engine, app(), keep="36h") == 1
    assert left(engine) == ["young"]
    with pytest.raises(ConfigError, match="dedup window of queue 'mail'"):
        lives_ms(app(), "1h")


def test_marks_of_other_apps_are_left_alone(engine: Engine) -> None:
    marks(engine, old=100 * DAY_MS)
    other = App("other")
    other.queue("mail")

    assert sweep_inbox(engine, other) == 0


def test_many_go_in_several_transactions(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ROWS_MAX", 10)
    marks(engine, **{f"job-{n}": 100 * DAY_MS for n in range(35)})

    assert sweep_inbox(engine, app()) == 35
    assert left(engine) == []


def test_a_token_that_is_swept_is_written_by_the_next_job(engine: Engine) -> None:
    shop = app()

    @shop.job(queue=shop.queues["mail"])
    def send(args: Receipt) -> None:
        """Nothing."""

    with Session(engine) as session, session.begin(), once(session, context(send)) as first:
        assert first
    with engine.begin() as connection:
        connection.execute(update(inbox_owners).values(since_ms=1, topic="shop.mail"))
    sweep_inbox(engine, shop)
    assert count(engine, inbox_owners) == 0
    with Session(engine) as session, session.begin(), once(session, context(send)) as first:
        assert first
    assert count(engine, inbox_owners) == 1
