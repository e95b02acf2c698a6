"""What the log tells of partitions at info: few lines, each of all that moved at once."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest

from jobstream_processors.assignment.assignment_log import by_topic
from jobstream_processors.assignment.phases import DETECT

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.unit.assignment.feed.conftest import Desk
    from tests.unit.shop import Shop

    NewDesk = Callable[..., Desk]


@pytest.fixture
def told(caplog: pytest.LogCaptureFixture) -> Callable[[], list[tuple[str, object]]]:
    caplog.set_level(logging.INFO, "jobstream.worker")

    def lines() -> list[tuple[str, object]]:
        found = [(r.getMessage(), getattr(r, "partitions", None)) for r in caplog.records]
        caplog.clear()
        return found

    return lines


def test_partitions_are_told_by_topic_as_numbers_in_order() -> None:
    assert by_topic([("b", 10), ("a", 1), ("b", 9)]) == {"a": [1], "b": [9, 10]}


def test_a_start_a_rebalance_and_a_stop_are_a_line_each(
    new_desk: NewDesk, shop: Shop, told: Callable[[], list[tuple[str, object]]]
) -> None:
    topic = shop.plan.topic
    first = new_desk().turns()
    assert told() == [
        ("partitions_assigned", {topic: [0, 1]}),
        ("queue_served", {topic: [0, 1]}),
    ]

    second = new_desk()
    for _ in range(4):
        first.turns(1)
        second.turns(1)
    moved = {topic: sorted(each.source[1] for each, _ in second.feed.partitions())}
    assert told() == [
        ("partitions_revoked", moved),
        ("partitions_assigned", moved),
        ("queue_served", moved),
    ]

    first.feed.close()
    kept = {topic: [p for p in range(2) if p not in moved[topic]]}
    assert told() == [("partitions_revoked", kept)]


def test_a_queue_is_told_once_its_last_partition_is_served(
    new_desk: NewDesk, shop: Shop, told: Callable[[], list[tuple[str, object]]]
) -> None:
    ready: list[str] = []
    desk = new_desk(ready=False, tell_ready=lambda: ready.append("ready"))
    desk.turns()
    told()

    for lane in desk.to_prepare[:-1]:
        desk.restore(lane, 0)
    desk.turns()
    assert told() == []
    assert ready == []

    desk.restore(desk.to_prepare[-1], 0)
    desk.turns()
    assert told() == [("queue_served", {shop.plan.topic: [0, 1]})]
    assert ready == ["ready"]


def test_a_queue_is_served_so_long_after_it_was_assigned_not_after_its_last_owner_spoke(
    new_desk: NewDesk, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "jobstream.worker")
    desk = new_desk(ready=False)
    desk.turns()
    idle_s = 86_400.0
    for lane in desk.to_prepare:
        lane.phases.seconds[DETECT] = idle_s
        desk.restore(lane, 0)

    desk.turns()

    served = next(r for r in caplog.records if r.getMessage() == "queue_served")
    assert vars(served)["seconds"] < idle_s
