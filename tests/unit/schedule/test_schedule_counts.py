"""What became of ticks, as a scheduler counts it: of no schedule for ever."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.unit.schedule.conftest import HOUR_MS

from jobstream.topics.names import schedules_topic
from jobstream_processors.ports import Outgoing

if TYPE_CHECKING:
    from tests.unit.schedule.conftest import Cluster

MINUTE_MS = 60_000
TOPIC = schedules_topic("shop")


def test_counts_of_a_removed_schedule_are_shown_for_an_hour_and_then_forgotten(
    cluster: Cluster,
) -> None:
    process = cluster.start()
    cluster.run_for(MINUTE_MS)
    (made,) = [r for r in cluster.broker.records(TOPIC) if r.key() == b"schedule:each"]
    cluster.broker.publish([Outgoing(TOPIC, made.key(), None, made.partition() or 0)])
    cluster.run_for(HOUR_MS - MINUTE_MS)
    shown = dict(process.meter.ticks)
    cluster.run_for(2 * MINUTE_MS)

    assert shown["each", "fired"] == 1
    assert process.meter.ticks == {}
