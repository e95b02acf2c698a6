"""The sessions of the groups: as asked, or as near as the broker allows, and what that costs."""

from __future__ import annotations

import pytest

from jobstream.topics.sessions import GroupLimits, GroupTimes, limits_from, plan_group

ASKED = GroupTimes(session_ms=6_000, heartbeat_ms=1_000)
WIDE = GroupLimits(3_000, 60_000, 200, 15_000)
KAFKAS_OWN = GroupLimits(45_000, 60_000, 5_000, 15_000)
SET = {"consumer.session.timeout.ms": "6000", "consumer.heartbeat.interval.ms": "1000"}


def test_what_is_asked_for_is_set() -> None:
    planned = plan_group("shop", ASKED, WIDE, {"consumer.session.timeout.ms": "45000"})

    assert planned.changes == SET
    assert planned.notes == ()


def test_what_is_set_already_is_not_set_again() -> None:
    assert plan_group("shop", ASKED, WIDE, SET).changes == {}


def test_only_what_differs_is_set() -> None:
    found = SET | {"consumer.heartbeat.interval.ms": "5000"}

    assert plan_group("shop", ASKED, WIDE, found).changes == {
        "consumer.heartbeat.interval.ms": "1000"
    }


def test_a_minimum_of_the_broker_is_kept_and_its_cost_told() -> None:
    planned = plan_group("shop", ASKED, KAFKAS_OWN, {})

    assert planned.changes == {
        "consumer.session.timeout.ms": "45000",
        "consumer.heartbeat.interval.ms": "5000",
    }
    assert "group.consumer.min.session.timeout.ms" in planned.notes[0]
    assert "stay idle for up to 45s" in planned.notes[0]
    assert "group.consumer.min.heartbeat.interval.ms" in planned.notes[1]
    assert "a rebalance takes about 5s" in planned.notes[1]


def test_a_maximum_of_the_broker_is_kept_too() -> None:
    planned = plan_group("shop", GroupTimes(120_000, 20_000), WIDE, {})

    assert planned.changes["consumer.session.timeout.ms"] == "60000"
    assert "group.consumer.max.session.timeout.ms" in planned.notes[0]


def test_unknown_limits_are_not_guessed() -> None:
    assert plan_group("shop", ASKED, None, {}).changes == SET


@pytest.mark.parametrize("missing", ["min.session.timeout", "max.heartbeat.interval"])
def test_limits_are_known_only_together(missing: str) -> None:
    told = {
        "group.consumer.min.session.timeout.ms": "3000",
        "group.consumer.max.session.timeout.ms": "60000",
        "group.consumer.min.heartbeat.interval.ms": "200",
        "group.consumer.max.heartbeat.interval.ms": "15000",
    }

    assert limits_from(told) == WIDE
    del told[f"group.consumer.{missing}.ms"]
    assert limits_from(told) is None
