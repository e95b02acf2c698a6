"""From looks to metrics: stalled, rewound, lost, uncommitted; what a quiet queue shows."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from jobstream.observe.cluster_families import families
from jobstream.observe.cluster_history import STALLED_S, ClusterHistory
from jobstream.operate.positions import GroupPlace
from jobstream.operate.sight import GroupSize, LettersOpen, PartitionLag, Sight
from jobstream_processors.ports import Position

if TYPE_CHECKING:
    from collections.abc import Mapping

    from prometheus_client.core import Sample

TOPIC = "shop.mail"
STALLED_MS = int(STALLED_S * 1_000)


def row(
    committed: int | None,
    *,
    low: int = 0,
    high: int = 100,
    overdue_s: float = 9.0,
    topic_id: str = "1",
    partition: int = 0,
) -> PartitionLag:
    at = Position(committed) if committed is not None else None
    standing = GroupPlace((TOPIC, partition), low, high, at, None, topic_id)
    return PartitionLag("shop", "mail", "", standing, overdue_s, overdue_s)


def sight(*rows: PartitionLag, at_ms: int = 0, members: int = 1) -> Sight:
    return Sight(
        taken_ms=at_ms,
        queues=("mail",),
        partitions=rows,
        groups={"shop": GroupSize(members, 0)},
        letters={"mail": LettersOpen()},
        retention_ms={TOPIC: 100_000},
    )


def shown(history: ClusterHistory, look: Sight) -> dict[str, list[Sample]]:
    """Take the look, and scrape."""
    history.take(look)
    found: dict[str, list[Sample]] = {}
    for family in families(look, history, {"mail": 300.0}):
        for sample in family.samples:
            found.setdefault(sample.name, []).append(sample)
    return found


def values(samples: list[Sample]) -> list[float]:
    return [sample.value for sample in samples]


def stalled(*looks: Sight) -> bool:
    history = ClusterHistory()
    for look in looks:
        (sample,) = shown(history, look)["jobs_partition_stalled"]
    return bool(sample.value)


def test_a_place_that_stands_still_for_two_minutes_is_stalled() -> None:
    assert not stalled(sight(row(5)), sight(row(5), at_ms=STALLED_MS - 1))
    assert stalled(sight(row(5)), sight(row(5), at_ms=STALLED_MS))


def test_how_long_a_place_may_stand_can_be_told() -> None:
    history = ClusterHistory(stalled_s=3.0)
    shown(history, sight(row(5)))

    (early,) = shown(history, sight(row(5), at_ms=2_999))["jobs_partition_stalled"]
    (late,) = shown(history, sight(row(5), at_ms=3_000))["jobs_partition_stalled"]

    assert (early.value, late.value) == (0, 1)


def test_a_place_that_nobody_recorded_can_stand_still() -> None:
    assert stalled(sight(row(None)), sight(row(None), at_ms=STALLED_MS))


@pytest.mark.parametrize(
    "last",
    [
        sight(row(6), at_ms=STALLED_MS),  # it moved
        sight(row(5, overdue_s=0), at_ms=STALLED_MS),  # nothing is late
        sight(row(5), at_ms=STALLED_MS, members=0),  # nobody is there: another alert
        sight(row(5, topic_id="2"), at_ms=STALLED_MS),  # another topic of that name
    ],
)
def test_what_is_not_stalled(last: Sight) -> None:
    assert not stalled(sight(row(5)), last)


def rewinds(*looks: Sight) -> float:
    history = ClusterHistory()
    for look in looks:
        (sample,) = shown(history, look)["jobs_rewinds_total"]
    return sample.value


def test_a_place_that_goes_back_is_a_rewind() -> None:
    assert rewinds(sight(row(5))) == 0
    assert rewinds(sight(row(5)), sight(row(7)), sight(row(7))) == 0
    assert rewinds(sight(row(5)), sight(row(4)), sight(row(4)), sight(row(3))) == 2


def test_a_group_that_lost_its_place_went_back() -> None:
    assert rewinds(sight(row(5)), sight(row(None)), sight(row(None))) == 1


def test_a_topic_made_anew_is_no_rewind() -> None:
    assert rewinds(sight(row(5)), sight(row(0, topic_id="2"))) == 0


def test_the_log_start_that_a_stuck_group_sees_pass_is_no_rewind() -> None:
    assert rewinds(sight(row(5)), sight(row(5, low=9))) == 0


def lost(*looks: Sight) -> float:
    history = ClusterHistory()
    for look in looks:
        (sample,) = shown(history, look)["jobs_lost_to_retention_records_total"]
    return sample.value


def test_records_that_fell_out_of_the_log_unfinished_are_lost_once() -> None:
    passed = [sight(row(5, low=low)) for low in (0, 3, 8, 8, 10)]

    assert lost(*passed) == 5


def test_what_was_lost_before_the_exporter_started_counts() -> None:
    assert lost(sight(row(5, low=8))) == 3


def test_a_group_without_a_place_loses_what_it_sees_go() -> None:
    """What was deleted before may have been done by a group that is forgotten now."""
    assert lost(sight(row(None, low=50))) == 0
    assert lost(sight(row(None, low=50)), sight(row(None, low=60))) == 10


def test_a_worker_that_is_ahead_of_the_log_start_loses_nothing() -> None:
    assert lost(sight(row(50)), sight(row(60, low=55)), sight(row(70, low=70))) == 0


def test_partitions_without_a_place_are_counted_where_records_are() -> None:
    looks = sight(row(None), row(None, partition=1, high=0), row(0, partition=2))

    (sample,) = shown(ClusterHistory(), looks)["jobs_uncommitted_partitions"]

    assert sample.value == 1


def test_lag_of_a_group_that_never_committed_counts_from_the_log_start() -> None:
    found = shown(ClusterHistory(), sight(row(None, low=30)))

    assert values(found["jobs_lag_records"]) == [70]
    assert values(found["jobs_lag_seconds"]) == [9.0]
    assert values(found["jobs_committed_offset"]) == [30]


def test_retention_used_is_that_of_the_worst_partition() -> None:
    found = shown(ClusterHistory(), sight(row(5), row(5, partition=1, overdue_s=80.0)))

    (sample,) = found["jobs_retention_used_ratio"]
    assert sample.value == pytest.approx(0.8)


@pytest.mark.parametrize(("kept_ms", "used"), [({TOPIC: -1}, [0.0]), ({}, [])])
def test_a_topic_that_keeps_all_is_never_used_up(
    kept_ms: Mapping[str, int], used: list[float]
) -> None:
    look = replace(sight(row(5)), retention_ms=kept_ms)

    found = shown(ClusterHistory(), look)

    assert values(found.get("jobs_retention_used_ratio", [])) == used


def test_a_count_of_letters_that_was_seen_falls_to_zero_and_stays() -> None:
    history = ClusterHistory()
    died = LettersOpen({("send", "permanent"): 2}, 60.0)
    before = shown(history, replace(sight(row(5)), letters={"mail": died}))
    after = shown(history, sight(row(5)))

    def open_letters(found: dict[str, list[Sample]]) -> dict[tuple[str, str], float]:
        samples = found["jobs_open_dead_letters"]
        return {(s.labels["job_type"], s.labels["reason"]): s.value for s in samples}

    assert open_letters(before) == {("send", "permanent"): 2, ("_unknown", "other"): 0}
    assert open_letters(after) == {("send", "permanent"): 0, ("_unknown", "other"): 0}
    assert values(before["jobs_oldest_dead_letter_seconds"]) == [60.0]
    assert values(after["jobs_oldest_dead_letter_seconds"]) == [0.0]


def test_a_type_that_waits_no_more_falls_to_zero() -> None:
    history = ClusterHistory()
    shown(history, replace(sight(row(5)), backlog={("mail", "send"): 95.0}))

    found = shown(history, sight(row(5)))

    backlog = {s.labels["job_type"]: s.value for s in found["jobs_backlog_estimate_records"]}
    assert backlog == {"send": 0, "_unknown": 0}
