"""Schedules whose code changes, or is not known: what fires, what is refused, what is shown."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfoNotFoundError

import pytest
from tests.unit.schedule.five_minutes import (
    HOUR,
    Ran,
    Work,
    app_of,
    from_the_first,
    to_a_tick,
)

from jobstream import (
    App,
    ConfigError,
    EnqueueVetoed,
    Enqueuing,
    Middleware,
    schedule_declaration,
)
from jobstream.testing import memory

if TYPE_CHECKING:
    from collections.abc import Iterator


def test_a_schedule_of_an_unknown_type_stays_and_fires_once_it_is_known() -> None:
    ran = Ran()
    app, bare = app_of(ran), App("shop", size="small", schedules=True)

    @bare.job
    def other(_args: Work) -> None:
        """Another type."""

    with memory(app) as jobs:
        to_a_tick(jobs)
        jobs.restart()
        broker = jobs.broker
    with memory(bare, broker) as without:
        without.run_for("20m")
        (schedule,) = bare.schedules.list()
        assert "no job type 'work'" in schedule.trouble
        assert without._worker.ticks.broken == {("work", "unknown_type"): 1}  # noqa: SLF001 - what it exposes
    with memory(app, broker) as again:
        again.run_for("1s")
        (schedule,) = app.schedules.list()

    assert from_the_first(ran.began) == [0, 20]
    assert schedule.counts == {"fired": 2, "missed": 0, "merged": 3, "skipped": 0}


def test_a_schedule_that_the_code_has_dropped_does_not_fire() -> None:
    ran = Ran()
    app, after = app_of(ran), App("shop", size="small", schedules=True)

    @after.job
    def work(_args: Work) -> None:
        ran.began.append(-1)

    with memory(app) as jobs:
        to_a_tick(jobs)
        broker = jobs.broker
    with memory(after, broker) as without:
        without.run_for("20m")
        (schedule,) = after.schedules.list()

        nobody = App("shop", size="small", schedules=True)
        with memory(nobody, broker):
            (shown,) = nobody.schedules.list()

    assert "declares it no more" in schedule.trouble
    assert "declares it no more" in shown.trouble, "known without the code, too"
    assert (shown.source, schedule.source) == ("code", "code")
    assert len(ran.began) == 1

    with memory(app, broker) as back:
        back.run_for("1m")
        (schedule,) = app.schedules.list()
    assert not schedule.trouble
    assert schedule.counts["missed"] + schedule.counts["merged"] == 3, "none of them is forgotten"


def test_an_order_to_a_schedule_that_can_not_fire_is_refused() -> None:
    ran = Ran()
    app, after = app_of(ran), App("shop", size="small", schedules=True)
    now = datetime.now(UTC)

    @after.job
    def other(_args: Work) -> None:
        """Another type."""

    with memory(app) as jobs:
        to_a_tick(jobs)
        broker = jobs.broker
    with memory(after, broker) as without:
        without.run_for("1m")
        for order in (
            lambda: after.schedules.run("work"),
            lambda: after.schedules.backfill("work", now - 2 * HOUR, now - HOUR),
        ):
            with pytest.raises(ConfigError, match=r"can't fire, so nothing was written: .*'work'"):
                order()
        after.schedules.pause("work")
        (schedule,) = after.schedules.list()
        assert schedule.paused, "a deploy may follow that brings it back"
        after.schedules.resume("work")
    with memory(app, broker) as again:
        again.run_for("1s")
    assert len(ran.began) == 1, "nothing was left behind that fires later"


def test_what_no_worker_has_taken_up_yet_is_listed_and_takes_no_order() -> None:
    app = app_of(Ran())
    with memory(app):
        app.every("10m", name="late")(app.jobs["work"])
        late, work = app.schedules.list()
        for order in (app.schedules.run, app.schedules.pause):
            with pytest.raises(ConfigError, match=r"role scheduler .*--only scheduler"):
                order("late")

    assert "no process with the role scheduler" in late.trouble
    assert not work.trouble


def test_a_zone_that_the_machine_lacks_breaks_the_schedule_and_not_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ran = Ran()
    app = app_of(ran)
    with memory(app) as jobs:
        app.schedules.add("far", app.jobs["work"], cron="*/5 * * * *", tz="Pacific/Apia")
        monkeypatch.setattr(schedule_declaration, "ZoneInfo", no_zones)
        jobs.restart()
        jobs.run_for("20m")
        far, work = app.schedules.list()
        with pytest.raises(ConfigError, match=r"can't fire, so nothing was written: tz='Pacific"):
            app.schedules.run("far")

    assert "tz='Pacific/Apia' is no time zone of this machine" in far.trouble
    assert work.counts["fired"] >= 3, "the others go on"


def no_zones(name: str) -> None:
    """As on a machine without tzdata."""
    raise ZoneInfoNotFoundError(name)


def test_an_old_name_of_a_type_is_known_by_its_alias() -> None:
    ran = Ran()
    app, renamed = app_of(ran), App("shop", size="small", schedules=True)

    @renamed.job(aliases=["work"])
    def labour(_args: Work) -> None:
        ran.began.append(-1)

    with memory(app) as jobs:
        app.schedules.add("more", app.jobs["work"], Work(), every="10m")
        broker = jobs.broker
    with memory(renamed, broker) as later:
        later.run_for("11m")

    assert ran.began[-1] == -1


def test_a_name_that_the_code_dropped_is_free_once_it_is_removed() -> None:
    ran, without = Ran(), App("shop", size="small", schedules=True)

    @without.job
    def work(_args: Work) -> None: ...

    with memory(app_of(ran)) as jobs:
        jobs.run_for("1m")
        with memory(without, jobs.broker) as later:
            with pytest.raises(ConfigError, match="remove it first"):
                without.schedules.add("work", work, every="5m")
            without.schedules.remove("work")
            without.schedules.add("work", work, every="5m")
            later.run_for("6m")
            (schedule,) = without.schedules.list()

    assert schedule.source == "run_time"


def test_an_order_whose_job_can_not_be_made_is_carried_out_once_it_can() -> None:
    app, ran, shut = App("shop", size="small"), list[int](), [True]

    @app.middleware
    class Door(Middleware):
        def enqueue(self, job: Enqueuing) -> Iterator[None]:  # noqa: ARG002 - its shape
            if shut:
                message = "not now"
                raise EnqueueVetoed(message)
            yield

    @app.cron("0 0 1 1 *")
    @app.job
    def work(_args: Work) -> None:
        ran.append(1)

    with memory(app) as jobs:
        app.schedules.run("work")
        jobs.run_for("1m")
        assert not ran
        shut.clear()
        jobs.run_for("1m")

    assert ran == [1]
