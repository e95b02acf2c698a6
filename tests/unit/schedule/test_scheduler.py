"""A scheduler that dies, freezes, is replaced or has a wrong clock: each tick is one job."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.schedule.conftest import HOUR_MS, SESSION_MS, Cluster, Nothing

from jobstream.topics.names import schedules_topic
from jobstream_processors.core.ticks import AT_ONCE_MAX
from jobstream_processors.errors import WorkerStopped
from jobstream_schemas import PlaceRecord, decode_schedule, encode_schedule, schedule_key

if TYPE_CHECKING:
    from jobstream import App
    from jobstream_processors.ports import Outgoing

MINUTE_MS = 60_000
TOPIC = schedules_topic("shop")


def is_place(record: Outgoing) -> bool:
    return record.topic == TOPIC and (record.key or b"").startswith(b"place:")


def is_job(record: Outgoing) -> bool:
    return record.topic == "shop.default"


def test_each_tick_becomes_a_job_on_time(cluster: Cluster) -> None:
    process = cluster.start()

    cluster.run_for(5 * MINUTE_MS, 250)

    assert cluster.ticks() == [60, 120, 180, 240, 300]
    assert process.meter.ticks["each", "fired"] == 5
    counts, seconds = process.meter.late.shown
    assert (sum(counts), seconds) == (5, 0.0)


def test_a_tick_at_which_its_owner_is_dead_is_fired_by_the_next(cluster: Cluster) -> None:
    owner, other = cluster.start(), cluster.start()
    cluster.run_for(MINUTE_MS - 1)

    cluster.kill(owner)
    cluster.kill(other)
    cluster.run_for(SESSION_MS)
    cluster.expire(owner)
    cluster.expire(other)
    cluster.start()
    cluster.run_for(MINUTE_MS)

    assert cluster.ticks() == [60, 120]


def test_a_crash_between_job_and_place_makes_the_same_job_again(cluster: Cluster) -> None:
    owner = cluster.start()
    cluster.broker.fail_publishes(is_place, fate="absent")
    cluster.run_for(MINUTE_MS)
    cluster.kill(owner)
    cluster.expire(owner)
    cluster.broker.heal()

    cluster.start()
    cluster.run_for(MINUTE_MS)

    assert cluster.ticks() == [60, 60, 120]
    assert len(set(cluster.fired())) == 2, "the same tick has the same id"


def test_a_place_that_is_not_acknowledged_is_written_again(cluster: Cluster) -> None:
    cluster.start()
    cluster.broker.fail_publishes(is_place, fate="absent")
    cluster.run_for(MINUTE_MS)
    cluster.broker.heal()
    cluster.run_for(2_000)

    assert cluster.ticks() == [60]
    assert place(cluster).through_ms == cluster.start_ms + MINUTE_MS


def test_a_job_that_is_not_acknowledged_is_fired_again_and_no_tick_is_passed(
    cluster: Cluster,
) -> None:
    cluster.start()
    cluster.broker.fail_publishes(is_job, fate="absent")
    cluster.run_for(3 * MINUTE_MS)
    assert cluster.ticks() == []
    cluster.broker.heal()

    cluster.run_for(MINUTE_MS)

    assert cluster.ticks() == [60, 120, 180, 240]


def test_two_that_believe_to_own_it_make_the_same_jobs(cluster: Cluster) -> None:
    cluster.start(group="one")
    cluster.start(group="two")
    # Neither sees how far the other has come.
    cluster.broker.fail_publishes(is_place, fate="absent")

    cluster.run_for(5 * MINUTE_MS)

    assert sorted(cluster.ticks()) == sorted([60, 120, 180, 240, 300] * 2)
    assert len(set(cluster.fired())) == 5


def test_one_that_was_frozen_past_its_session_publishes_nothing(cluster: Cluster) -> None:
    owner = cluster.start()
    cluster.run_for(MINUTE_MS - 1_000)
    owner.frozen = True
    cluster.run_for(SESSION_MS + 2_000)
    cluster.expire(owner)
    cluster.start()
    cluster.run_for(MINUTE_MS)
    assert cluster.ticks() == [60, 120]
    there = cluster.broker.records(TOPIC)

    owner.frozen = False
    with pytest.raises(WorkerStopped):
        owner.turns()

    assert cluster.ticks() == [60, 120]
    assert cluster.broker.records(TOPIC) == there


@pytest.mark.parametrize("jump_ms", [-10 * MINUTE_MS, 10 * MINUTE_MS])
def test_a_clock_that_jumps_and_comes_back_fires_no_tick_twice(
    cluster: Cluster, jump_ms: int
) -> None:
    process = cluster.start()
    cluster.run_for(15 * MINUTE_MS)
    process.time.ahead_ms = jump_ms
    cluster.run_for(5 * MINUTE_MS)
    process.time.ahead_ms = 0

    cluster.run_for(10 * MINUTE_MS)

    assert sorted(cluster.ticks()) == [60 * n for n in range(1, 31)]


def test_ticks_of_the_seconds_without_an_owner_fire_each() -> None:
    for missed in ("one", "skip"):
        cluster = of_policy(missed, every="1s")
        owner = cluster.start()
        cluster.run_for(10_000)
        cluster.kill(owner)
        cluster.expire(owner)
        cluster.clock.advance(20_000)

        cluster.start().turns()
        cluster.run_for(1_000)

        ticks = cluster.ticks()
        assert sorted(ticks) == list(range(min(ticks), max(ticks) + 1)), missed
        assert len(ticks) >= 30, missed


def of_policy(missed: str, catch_up: str = "1h", every: str = "5s") -> Cluster:
    def declare(app: App) -> None:
        @app.every(every, overlap="allow", missed=missed, catch_up=catch_up, name="each")  # type: ignore[arg-type] # drawn by a test
        @app.job
        def work(_args: Nothing) -> None:
            """Nothing."""

    return Cluster(declare)


@pytest.mark.parametrize(
    ("missed", "catch_up", "fires"), [("one", "1h", 1), ("all", "1h", 720), ("skip", "1h", 12)]
)
def test_two_weeks_of_outage_are_no_flood(missed: str, catch_up: str, fires: int) -> None:
    cluster = of_policy(missed, catch_up)
    owner = cluster.start()
    cluster.run_for(10_000)
    cluster.kill(owner)
    cluster.expire(owner)
    cluster.clock.advance(14 * 24 * HOUR_MS + 2_500)
    before = len(cluster.fired())

    process = cluster.start()
    process.turns()

    made = cluster.fired()[before:]
    # With "skip" those of the last minute, which are not missed.
    assert len(made) in {fires, fires + 1}
    assert len(set(made)) == len(made)
    counts = process.meter.ticks
    assert counts["each", "fired"] == len(made)
    assert counts["each", "missed"] + counts["each", "merged"] >= 20_000
    assert max(AT_ONCE_MAX, len(made)) <= 721


def test_a_deploy_with_two_versions_at_once_stops_and_doubles_nothing(cluster: Cluster) -> None:
    cluster.start()
    cluster.run_for(2 * MINUTE_MS)

    for _ in range(3):
        cluster.start(cluster.app_of(cluster.declare))
        cluster.start(cluster.app_of(cluster.declare))
        cluster.run_for(MINUTE_MS)
        for process in cluster.processes[:2]:
            cluster.kill(process)
            process.scheduler.close()

    assert cluster.ticks() == [60, 120, 180, 240, 300]
    definitions = [r for r in cluster.broker.records(TOPIC) if r.key() == b"schedule:each"]
    assert len(definitions) == 1, "nobody writes what is there"


def test_args_that_change_lose_no_tick_and_another_calendar_begins_anew(cluster: Cluster) -> None:
    owner = cluster.start()
    cluster.run_for(MINUTE_MS)
    cluster.kill(owner)
    cluster.expire(owner)
    cluster.clock.advance(MINUTE_MS + 1_000)

    def spread(app: App) -> None:
        @app.every("1m", overlap="allow", missed="all", catch_up="2h", name="each")
        @app.job
        def work(_args: Nothing) -> None:
            """Nothing."""

    after = cluster.start(cluster.app_of(spread))
    assert cluster.ticks() == [60, 120]
    cluster.kill(after)
    cluster.expire(after)
    cluster.clock.advance(MINUTE_MS)

    def other(app: App) -> None:
        @app.every("20s", overlap="allow", missed="all", name="each")
        @app.job
        def work(_args: Nothing) -> None:
            """Nothing."""

    cluster.start(cluster.app_of(other))
    cluster.run_for(MINUTE_MS)

    assert cluster.ticks() == [60, 120, 200, 220, 240]


def test_a_compacted_topic_says_the_same(cluster: Cluster) -> None:
    owner = cluster.start()
    cluster.run_for(10 * MINUTE_MS)
    cluster.kill(owner)
    owner.scheduler.close()
    cluster.broker.compact(TOPIC, drop_tombstones=True)

    cluster.start()
    cluster.run_for(2 * MINUTE_MS)

    assert cluster.ticks() == [60 * n for n in range(1, 13)]


def test_a_place_that_a_former_owner_wrote_late_moves_nothing_back(cluster: Cluster) -> None:
    owner = cluster.start()
    cluster.run_for(2 * MINUTE_MS + 1_000)
    first = next(r for r in cluster.broker.records(TOPIC) if r.key() == b"place:each")
    cluster.kill(owner)
    cluster.expire(owner)
    cluster.broker.publish(
        [late_record(first.partition() or 0, first.key() or b"", first.value() or b"")]
    )

    cluster.start()
    cluster.run_for(MINUTE_MS)

    assert cluster.ticks() == [60, 120, 180]


def test_an_owner_believes_itself_more_than_what_it_wrote_before(cluster: Cluster) -> None:
    process = cluster.start()
    cluster.run_for(2 * MINUTE_MS)
    table = next(t for t in process.scheduler.tables() if t.standings)
    standing = table.standings["each"]
    standing.scheduled.place = standing.place._replace(pending_ms=0, fired=3)
    (last,) = [r for r in cluster.broker.records(TOPIC) if r.key() == b"place:each"][-1:]
    cluster.broker.publish(
        [late_record(last.partition() or 0, last.key() or b"", last.value() or b"")]
    )

    cluster.run_for(1_000)

    assert standing.place.fired == 3


def late_record(partition: int, key: bytes, value: bytes) -> Outgoing:
    from jobstream_processors.ports import Outgoing  # noqa: PLC0415 - a type above

    return Outgoing(TOPIC, key, value, partition)


def place(cluster: Cluster) -> PlaceRecord:
    found = [r for r in cluster.broker.records(TOPIC) if r.key() == b"place:each"][-1]
    entry = decode_schedule(found.key() or b"", found.value() or b"")
    assert isinstance(entry, PlaceRecord)
    return entry


def test_a_definition_of_another_version_is_kept_shown_and_does_not_fire(
    cluster: Cluster,
) -> None:
    first = cluster.start()
    cluster.run_for(MINUTE_MS)
    newer = b"\xc3\x01" + bytes(8) + b"from the future"
    (record,) = [r for r in cluster.broker.records(TOPIC) if r.key() == b"schedule:each"]
    cluster.broker.publish(
        [late_record(record.partition() or 0, schedule_key("schedule", "each"), newer)]
    )
    cluster.run_for(MINUTE_MS)
    assert first.meter.broken == {("each", "newer"): 1}

    cluster.start()
    cluster.run_for(MINUTE_MS)

    assert cluster.ticks() == [60]
    last = [r for r in cluster.broker.records(TOPIC) if r.key() == b"schedule:each"][-1]
    assert last.value() == newer


def test_records_that_are_none_stop_nothing(cluster: Cluster) -> None:
    for partition in range(4):
        for key in (b"", b"nonsense", b"place:each", b"run:each:1", b"\xff:each", b"x:y:z:w"):
            cluster.broker.publish([late_record(partition, key, b"garbage")])
    cluster.broker.publish(
        [late_record(0, b"place:other", encode_schedule(PlaceRecord("each", 1 << 60)))]
    )

    cluster.start()
    cluster.run_for(2 * MINUTE_MS)

    assert cluster.ticks() == [60, 120]


ACTIONS = st.sampled_from(
    ["pass", "pass", "pass", "kill", "start", "freeze", "expire", "no jobs", "no places", "heal",
     "rebalance", "compact", "back", "ahead"]
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(ACTIONS, st.integers(1, 90)), min_size=3, max_size=25))
def test_whatever_happens_each_tick_is_one_job(actions: list[tuple[str, int]]) -> None:
    def declare(app: App) -> None:
        @app.every("1m", overlap="allow", missed="all", name="each", catch_up="24h")
        @app.job
        def work(_args: Nothing) -> None:
            """Nothing."""

    cluster = Cluster(declare)
    cluster.start()
    for action, seconds in actions:
        perform(cluster, action, seconds)
    # In the end all is well, for long enough that every clock is right again.
    cluster.broker.heal()
    for process in list(cluster.processes):
        cluster.kill(process)
        cluster.expire_if_there(process)
    cluster.start()
    cluster.run_for(15 * MINUTE_MS, 5_000)

    passed_s = (cluster.clock.broker_ms() - cluster.start_ms) // 1_000
    due = {60 * n for n in range(1, passed_s // 60 + 1)}
    assert due <= set(cluster.ticks())
    assert len(set(cluster.fired())) == len(set(cluster.ticks())), "one id for each tick"


def perform(cluster: Cluster, action: str, seconds: int) -> None:
    living = [process for process in cluster.processes if not process.frozen]
    match action:
        case "kill" | "freeze" | "expire" if living:
            process = living[seconds % len(living)]
            cluster.expire_if_there(process)
            if action != "expire":
                cluster.kill(process)
        case "start" if len(living) < 3:
            cluster.start()
        case "no jobs":
            cluster.broker.fail_publishes(
                lambda record: record.topic == "shop.default", fate="mixed"
            )
        case "no places":
            cluster.broker.fail_publishes(is_place, fate="mixed")
        case "heal":
            cluster.broker.heal()
        case "rebalance":
            cluster.broker.rebalance()
        case "compact":
            cluster.broker.compact(TOPIC, drop_tombstones=True)
        case "back" | "ahead" if living:
            living[0].time.ahead_ms = seconds * (-6_000 if action == "back" else 6_000)
        case _:
            cluster.run_for(seconds * 1_000, 5_000)
