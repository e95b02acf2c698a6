"""What a schedule may not be: refused where it is declared, with field, value and fix."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pydantic
import pytest
from tests.harness.no_offset import NoOffset

from jobstream import App, ConfigError
from jobstream.schedule_declaration import SPREAD_MS_MAX, calendar_of
from jobstream_processors.core.ticks import Every


@dataclass(frozen=True)
class Args:
    number: int = 1


@dataclass(frozen=True)
class Needy:
    order_id: str
    count: int = 1


class Order(pydantic.BaseModel):
    order_id: str
    count: int = 1


class Parcel(msgspec.Struct):
    order_id: str
    parts: list[str] = []


def app_with_type() -> tuple[App, Any, Any]:
    app = App("shop", size="small")

    @app.job
    def work(_args: Args) -> None:
        """Nothing."""

    @app.job
    def needy(_args: Needy) -> None:
        """Nothing."""

    return app, work, needy


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"tz": "Europe/Berlim"}, r"schedule 'work': tz='Europe/Berlim'.*pip install tzdata"),
        ({"tz": "../../etc/passwd"}, "tz="),
        ({"tz": 7}, "tz=7"),
        ({"missed": "some"}, "missed='some'; choose 'one', 'all', 'skip'"),
        ({"overlap": "queue"}, "overlap='queue'; choose"),
        ({"missed": "all"}, "overlap='allow', or missed='one'"),
        ({"catch_up": "25h"}, "longer than the dedup window '24h'"),
        ({"catch_up": "soon"}, "catch_up='soon' is not a duration"),
        ({"spread": "2d"}, "spread='2d' is outside"),
        ({"spread": -1}, "spread=-1 is outside"),
        ({"name": "a b"}, "schedule name 'a b'"),
        ({"name": "a:b"}, "schedule name 'a:b'"),
        ({"name": ""}, "schedule name ''"),
        ({"args": Needy("a")}, "args=Needy"),
        ({"args": {"number": 1}}, "args="),
        ({"expression": ""}, "give one of them"),
        ({"expression": "0 0 31 2 *"}, r"cron='0 0 31 2 \*'"),
        ({"expression": "* * * *"}, "has 4 fields"),
        ({"expression": "61 * * * *"}, "the minute is '61', but takes 0 to 59"),
        ({"expression": "0 * * * * 8"}, "the weekday is '8', but takes 0 to 7"),
        ({"expression": "0 0 1 JANU *"}, "the month is 'JANU', but takes 1 to 12, or JAN"),
        ({"expression": "1," * 150 + "1 * * * *"}, "at most are 200"),
        ({"expression": 5}, "cron=5 is not a text"),
    ],
)
def test_a_cron_schedule_that_can_not_work_is_refused(options: dict[str, Any], told: str) -> None:
    app, work, _ = app_with_type()
    expression = options.pop("expression", "*/5 * * * *")

    with pytest.raises(ConfigError, match=told):
        app.cron(expression, **options)(work)

    assert not app.schedules.declared
    assert not app.has_schedules


@pytest.mark.parametrize(
    ("interval", "options", "told"),
    [
        ("500ms", {}, "every='500ms' is outside 1s .. 366d"),
        ("400d", {}, "every='400d' is outside"),
        ("5 minutes", {}, "every='5 minutes' is not a duration"),
        ("5m", {"anchor": datetime(2026, 1, 1)}, "no aware datetime"),  # noqa: DTZ001 - naive on purpose
        ("5m", {"anchor": datetime(2026, 1, 1, tzinfo=NoOffset())}, "no aware datetime"),
        ("5m", {"anchor": 5}, "anchor=5"),
    ],
)
def test_an_interval_that_can_not_work_is_refused(
    interval: str, options: dict[str, Any], told: str
) -> None:
    app, work, _ = app_with_type()

    with pytest.raises(ConfigError, match=told):
        app.every(interval, **options)(work)


@pytest.mark.parametrize("cls", [Order, Parcel])
def test_models_and_structs_that_have_no_defaults_must_be_given(cls: type) -> None:
    app = App("shop", size="small")

    def ship(_args: Any) -> None:  # noqa: ANN401 - as its annotation says below
        """Nothing."""

    ship.__annotations__["_args"] = cls
    job = app.job(ship)

    with pytest.raises(ConfigError, match=f"args=None, but {cls.__name__} needs order_id: give"):
        app.every("5m")(job)


def test_args_that_have_no_defaults_must_be_given() -> None:
    app, _, needy = app_with_type()

    with pytest.raises(ConfigError, match=r"args=None, but Needy needs order_id: give args=Needy"):
        app.every("5m")(needy)

    app.every("5m", args=Needy("o-1"))(needy)
    assert list(app.schedules.declared) == ["needy"]


def test_a_second_schedule_of_a_type_needs_a_name() -> None:
    app, work, _ = app_with_type()
    app.every("5m")(work)

    with pytest.raises(ConfigError, match=r"declared already.*name='work-2'"):
        app.every("10m")(work)

    assert app.every("10m", name="more")(work) is work
    assert set(app.schedules.declared) == {"work", "more"}


def test_a_function_that_is_no_job_type_is_refused() -> None:
    app, *_ = app_with_type()

    def plain(_args: Args) -> None:
        """Nothing."""

    with pytest.raises(ConfigError, match="above @app"):
        app.every("5m")(plain)  # type: ignore[type-var] # on purpose


def test_a_bare_decorator_is_refused_instead_of_making_no_schedule() -> None:
    app, work, _ = app_with_type()

    for decorator in (app.cron, app.every):
        with pytest.raises(ConfigError, match=r"say when, as in @app\.cron\('\*/5 \* \* \* \*'\)"):
            decorator(work)


def test_a_job_type_of_another_app_is_refused() -> None:
    app, work, _ = app_with_type()
    other = App("other", size="small")

    with pytest.raises(
        ConfigError, match="'work', which is a job type of another app than 'other'"
    ):
        other.every("5m")(work)
    with pytest.raises(ConfigError, match="another app than 'other'"):
        other.schedules.add("more", work, every="5m")
    with pytest.raises(ConfigError, match="a schedule of 'work': give the job type"):
        app.schedules.add("more", "work", every="5m")  # type: ignore[arg-type] # on purpose


@pytest.mark.parametrize("is_cron", [True, False])
def test_a_preview_ends_in_the_year_2100(*, is_cron: bool) -> None:
    app, work, _ = app_with_type()
    (app.cron("0 0 * * *") if is_cron else app.every("1d"))(work)

    assert not app.schedules.preview("work", after=datetime.max.replace(tzinfo=UTC))
    late = datetime(2099, 12, 31, 12, tzinfo=UTC)
    assert app.schedules.preview("work", after=late) == [datetime(2100, 1, 1, tzinfo=UTC)]


def test_a_definition_says_all_that_was_declared() -> None:
    app, work, _ = app_with_type()
    anchor = datetime(2026, 1, 1, 12, tzinfo=UTC)
    app.every("90m", anchor=anchor, spread="1m", catch_up="2h", overlap="queue_one")(work)
    made = app.schedules.declared["work"]

    assert calendar_of(made) == Every(90 * 60_000, round(anchor.timestamp() * 1000))
    assert (made.spread_ms, made.catch_up_ms, made.overlap) == (60_000, 7_200_000, "queue_one")
    assert made.spread_ms < SPREAD_MS_MAX


@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Asia/Tokyo"])
@pytest.mark.parametrize("after", [datetime.min, datetime(1969, 12, 30)])  # noqa: DTZ001, DTZ901 - its zone comes
def test_a_preview_before_1970_is_refused(after: datetime, zone: str) -> None:
    app, work, _ = app_with_type()
    app.cron("30 2 * * *", tz="America/New_York")(work)

    with pytest.raises(ConfigError, match=r"after=.*: give a moment from the start of 1970 on"):
        app.schedules.preview("work", after=after.replace(tzinfo=ZoneInfo(zone)))


@pytest.mark.parametrize("count", ["5", 0, 1_001, True, 2.5, None])
def test_a_preview_counts_whole_ticks(count: Any) -> None:  # noqa: ANN401 - on purpose
    app, work, _ = app_with_type()
    app.every("5m")(work)

    with pytest.raises(ConfigError, match=rf"count={count!r} is no whole number from 1 to 1,000"):
        app.schedules.preview("work", count)


def test_a_preview_after_a_moment_without_an_offset_is_refused() -> None:
    app, work, _ = app_with_type()
    app.every("5m")(work)

    with pytest.raises(ConfigError, match="is no aware datetime"):
        app.schedules.preview("work", after=datetime(2026, 1, 1, tzinfo=NoOffset()))


def test_a_preview_of_a_declared_schedule_asks_no_broker() -> None:
    app, work, _ = app_with_type()
    app.cron("30 2 * * *", tz="Europe/Berlin")(work)

    ticks = app.schedules.preview("work", 3, after=datetime(2026, 3, 28, tzinfo=UTC))

    assert [tick.isoformat() for tick in ticks] == [
        "2026-03-28T02:30:00+01:00",
        "2026-03-29T03:00:00+02:00",
        "2026-03-30T02:30:00+02:00",
    ]


def test_a_service_without_cronsim_may_declare_and_enqueue() -> None:
    script = """
import sys
sys.modules["cronsim"] = None
from dataclasses import dataclass
from jobstream import App
app = App("shop")
@dataclass(frozen=True)
class Args:
    number: int = 1
@app.cron("*/5 * * * *", tz="Europe/Berlin")
@app.job
def work(args: Args) -> None: ...
print(list(app.schedules.declared))
"""
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, check=False)

    assert (ran.returncode, ran.stdout.decode().strip()) == (0, "['work']"), ran.stderr


def test_an_app_without_schedules_loads_nothing_for_them() -> None:
    script = (
        "import sys; from jobstream import App; App('shop')\n"
        "print([m for m in sys.modules if 'schedule_control' in m or m == 'zoneinfo'])"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)

    assert ran.stdout.decode().strip() == "[]"
