"""Ticks while the job before goes on, pauses and orders, through a whole worker in memory."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from tests.unit.schedule.five_minutes import (
    HOUR,
    LONG_WAIT,
    WAIT,
    Ran,
    Work,
    app_of,
    from_the_first,
    to_a_tick,
)

from jobstream import App, ConfigError, Context, Dead, RetryAfter
from jobstream.testing import MemoryBroker, VirtualClock, memory


@pytest.mark.parametrize(
    ("overlap", "ticks", "counts"),
    [
        # Every job goes on for eight minutes.
        ("skip", [0, 10, 20, 30], {"skipped": 3}),
        ("queue_one", [0, 5, 15, 20], {"merged": 2}),
        ("allow", [0, 5, 10, 15, 20, 25, 30], {}),
    ],
)
def test_a_tick_while_the_job_before_goes_on(
    overlap: str, ticks: list[int], counts: dict[str, int]
) -> None:
    ran = Ran()
    app = app_of(ran, overlap=overlap, args=Work(snoozes=2))
    with memory(app) as jobs:
        to_a_tick(jobs)
        first = ran.began[0]
        jobs.run_for("30m")
        (schedule,) = app.schedules.list()

    found = [(minute - first) % 1440 for minute in ran.began]
    assert found[: len(ticks)] == ticks
    assert found == sorted(set(found))
    if overlap != "allow":
        assert ran.began[1:] == ran.ended[1 : len(ran.began)] or ran.ended == ran.began[:-1]
    for what, count in counts.items():
        assert schedule.counts[what] == count
    assert sum(schedule.counts.values()) + bool(schedule.waiting_tick) == 7


def test_a_later_tick_takes_the_place_of_one_that_waits() -> None:
    ran = Ran()
    app = app_of(ran, overlap="queue_one", args=Work(snoozes=4))
    with memory(app) as jobs:
        to_a_tick(jobs)
        jobs.run_for("18m")
        (schedule,) = app.schedules.list()

    assert from_the_first(ran.began) == [0, 15]
    assert schedule.counts == {"fired": 2, "missed": 0, "merged": 2, "skipped": 0}


def test_a_tick_that_waits_counts_no_more_where_the_code_changes_the_calendar() -> None:
    ran = Ran()
    app = app_of(ran, overlap="queue_one", args=Work(snoozes=4))
    with memory(app) as jobs:
        to_a_tick(jobs)
        jobs.run_for("6m")
        (before,) = app.schedules.list()
        broker = jobs.broker

    off = datetime.fromtimestamp(broker.clock.broker_ms() / 1000, UTC) + timedelta(minutes=30)
    app = app_of(ran, overlap="queue_one", anchor=off)
    with memory(app, broker) as jobs:
        jobs.run_for("1s")
        (after,) = app.schedules.list()
        jobs.run_for("25m")

    assert before.waiting_tick is not None
    assert after.waiting_tick is None
    assert from_the_first(ran.began)[:2] == [0, 12]


def test_a_dead_job_is_over_and_one_that_is_retried_goes_on() -> None:
    app, began = App("shop", size="small"), list[datetime | None]()

    @app.every("5m")
    @app.job
    def work(_args: Work, ctx: Context) -> None:
        if ctx.attempt == 1:
            began.append(ctx.scheduled_for)
            raise RetryAfter(LONG_WAIT)
        message = "no"
        raise Dead(message)

    with memory(app) as jobs:
        jobs.run_for("61m")
        ticks = [tick for tick in began if tick is not None]

    assert len(ticks) == len(began)
    assert {b - a for a, b in pairwise(ticks)} == {timedelta(minutes=15)}


def test_a_new_owner_knows_that_the_job_goes_on() -> None:
    ran = Ran()
    app = app_of(ran, overlap="skip", args=Work(snoozes=4))
    with memory(app) as jobs:
        to_a_tick(jobs)
        jobs.restart()
        jobs.run_for("10m")
        assert from_the_first(ran.began) == [0]
        jobs.run_for("10m")

    assert from_the_first(ran.began) == [0, 20]


def test_the_tick_is_on_retries_redrives_and_in_the_answer_of_a_test() -> None:
    app, seen = App("shop", size="small"), list[datetime | None]()

    @app.every("1h")
    @app.job
    def work(_args: Work, ctx: Context) -> None:
        seen.append(ctx.scheduled_for)
        if ctx.attempt == 1:
            raise RetryAfter(WAIT)

    with memory(app, MemoryBroker(VirtualClock())) as jobs:
        jobs.run_for("70m")
        other = work.enqueue(Work())
        jobs.run_until_idle()
        jobs.assert_done(other)

    assert seen[0] is not None
    assert seen[0] == seen[1]
    assert seen[0].minute == seen[0].second == 0
    assert seen[2:] == [None, None]


# -- operators


def test_a_pause_outlives_deploys_and_its_ticks_are_not_made_up_for() -> None:
    ran = Ran()
    app = app_of(ran)
    with memory(app) as jobs:
        to_a_tick(jobs)
        app.schedules.pause("work", why="numbers are wrong", who="ann")
        jobs.run_for("20m")
        with memory(app_of(ran, catch_up="2h"), jobs.broker) as later:
            later.run_for("20m")
        assert from_the_first(ran.began) == [0]
        (schedule,) = app.schedules.list()
        assert schedule.paused == "by ann: numbers are wrong"
        assert schedule.catch_up_ms == 2 * 3_600_000, "the deploy was written beside the pause"

        app.schedules.resume("work")
        jobs.run_for("5m")
        (schedule,) = app.schedules.list()

    assert from_the_first(ran.began) == [0, 45]
    assert (schedule.paused, schedule.counts["skipped"]) == ("", 8)


def test_a_pause_may_end_by_itself() -> None:
    ran = Ran()
    app = app_of(ran)
    with memory(app) as jobs:
        to_a_tick(jobs)
        app.schedules.pause("work", for_="12m")
        jobs.run_for("20m")

    assert from_the_first(ran.began) == [0, 15, 20]


def test_a_run_is_one_job_more_also_while_paused() -> None:
    ran = Ran()
    app = app_of(ran, overlap="skip")
    with memory(app) as jobs:
        to_a_tick(jobs)
        app.schedules.pause("work")
        app.schedules.run("work")
        jobs.run_until_idle()
        records = jobs.broker.records("shop.schedules")
        orders = [record for record in records if (record.key() or b"").startswith(b"run:")]
        assert [record.value() is None for record in orders] == [False, True], "it is carried out"
        assert len({record.key() for record in orders}) == 1
        jobs.restart()
        jobs.run_until_idle()

    assert from_the_first(ran.began) == [0, 1]


def test_a_backfill_makes_the_jobs_that_are_not_there() -> None:
    ran = Ran()
    app = app_of(ran)
    with memory(app) as jobs:
        to_a_tick(jobs)
        jobs.run_for("10m")
        now = datetime.fromtimestamp(jobs.clock.broker_ms() / 1000, UTC)

        assert app.schedules.backfill("work", now - HOUR, now) == 12
        jobs.run_until_idle()

    assert len(ran.began) == len(set(ran.began)) == 12


def test_a_backfill_beyond_one_turn_ends() -> None:
    ran = Ran()
    app = app_of(ran)
    with memory(app) as jobs:
        now = datetime.fromtimestamp(jobs.clock.broker_ms() / 1000, UTC)

        made = app.schedules.backfill("work", now - 40 * HOUR, now)
        jobs.run_for("5m")

    assert made > 450
    assert len(jobs.seen()) in {made, made + 1}


@pytest.mark.parametrize("days", [-1, 60])
def test_a_backfill_that_is_too_large_or_to_come_is_refused(days: int) -> None:
    app = app_of(Ran())
    with memory(app) as jobs:
        now = datetime.fromtimestamp(jobs.clock.broker_ms() / 1000, UTC)

        with pytest.raises(ConfigError, match=r"range that ends|more than 10000"):
            app.schedules.backfill("work", now - timedelta(days=days), now)


def test_schedules_are_added_changed_and_removed_at_run_time() -> None:
    ran = Ran()
    app = app_of(ran)
    work = app.jobs["work"]
    with memory(app) as jobs:
        app.schedules.add(
            "more", work, Work(), every="10m", anchor=datetime(2026, 1, 1, 0, 1, tzinfo=UTC)
        )
        jobs.run_for("1h")
        assert len([minute for minute in ran.began if minute % 10 == 1]) == 6
        app.schedules.add(
            "more", work, Work(), every="30m", anchor=datetime(2026, 1, 1, 0, 1, tzinfo=UTC)
        )
        jobs.run_for("1h")
        assert len([minute for minute in ran.began if minute % 10 == 1]) == 8
        app.schedules.remove("more")
        assert [each.name for each in app.schedules.list()] == ["work"]
        jobs.run_for("1h")

    assert len([minute for minute in ran.began if minute % 10 == 1]) == 8


@pytest.mark.parametrize(("who", "told"), [(5, "who=5 is not a text"), ("a" * 1001, "who has")])
def test_who_adds_a_schedule_is_a_short_text(who: Any, told: str) -> None:  # noqa: ANN401 - on purpose
    app = app_of(Ran())
    with memory(app):
        with pytest.raises(ConfigError, match=told):
            app.schedules.add("more", app.jobs["work"], every="10m", who=who)
        assert [each.name for each in app.schedules.list()] == ["work"]


def test_an_interval_in_a_zone_is_refused() -> None:
    app = app_of(Ran())
    with memory(app), pytest.raises(ConfigError, match=r"tz='Europe/Berlin' is for a cron expr"):
        app.schedules.add("daily", app.jobs["work"], every="1d", tz="Europe/Berlin")


def test_what_the_code_declares_is_not_changed_at_run_time() -> None:
    app = app_of(Ran())
    with memory(app), pytest.raises(ConfigError, match="declared in code"):
        app.schedules.add("work", app.jobs["work"], every="10m")


def test_a_name_that_no_schedule_has_is_refused_with_those_there_are() -> None:
    app = app_of(Ran())
    with memory(app):
        for call in (app.schedules.pause, app.schedules.run, app.schedules.remove):
            with pytest.raises(ConfigError, match="no schedule 'works'; there are: work"):
                call("works")


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"for_": "soon"}, "for_='soon' is not a duration"),
        ({"why": 5}, "why=5 is not a text"),
        ({"who": 5}, "who=5"),
        ({"who": "a" * 1001}, "who has"),
    ],
)
def test_what_is_said_with_an_order_is_a_short_text(options: dict[str, Any], told: str) -> None:
    app = app_of(Ran())
    with memory(app) as jobs:
        jobs.run_for("1m")
        with pytest.raises(ConfigError, match=told):
            app.schedules.pause("work", **options)


def test_a_backfill_before_1970_is_refused() -> None:
    app = app_of(Ran())
    start = datetime(1969, 12, 31, 23, tzinfo=UTC)
    with memory(app) as jobs:
        jobs.run_for("1m")
        with pytest.raises(ConfigError, match="after the start of 1970"):
            app.schedules.backfill("work", start, start + 2 * HOUR)


def test_a_pause_is_about_the_moments_at_which_a_spread_schedule_fires() -> None:
    app, began = App("shop", size="small"), list[datetime]()

    @app.every("1h", spread="59m")
    @app.job
    def work(_args: Work, ctx: Context) -> None:
        assert ctx.scheduled_for is not None
        began.append(ctx.scheduled_for)

    with memory(app) as jobs:
        (schedule,) = app.schedules.list()
        offset = timedelta(milliseconds=schedule.spread_ms)
        assert timedelta(minutes=2) < offset < timedelta(minutes=57)
        now_ms = jobs.clock.broker_ms()
        jobs.run_for(timedelta(milliseconds=3_600_000 - now_ms % 3_600_000 + 60_000))
        began.clear()
        hour = datetime.fromtimestamp(jobs.clock.broker_ms() // 3_600_000 * 3_600, UTC)

        # The tick was before the pause, and is due in it.
        app.schedules.pause("work")
        jobs.run_for("1h")
        assert began == []
        # The next one was in the pause, and is due after it.
        app.schedules.resume("work")
        jobs.run_for("1h")

    assert began == [hour + HOUR]
