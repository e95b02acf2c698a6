"""Metrics of the consumer groups of one process, and the counts of its delayer.

One collector serves both groups, since a family may come from one collector only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobstream.observe.families import counter, gauge, histogram

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from prometheus_client.core import Metric

    from jobstream_processors.delay.delay_meter import DelayMeter
    from jobstream_processors.turn_meter import TurnMeter


class GroupsCollector:
    """Rebalances and polls, of each group this process is a member of."""

    def __init__(self, turns: Sequence[TurnMeter]) -> None:
        self._turns = turns

    def collect(self) -> Iterable[Metric]:
        """Two families."""
        yield counter(
            "jobs_rebalances_total",
            [((turn.group, kind), n) for turn in self._turns for kind, n in turn.changes.items()],
        )
        polled = [((turn.group,), turn.polled_at) for turn in self._turns if turn.polled_at]
        yield gauge("jobs_last_poll_timestamp_seconds", polled)


class DelayCollector:
    """Hops, lateness and what is held, of one delayer."""

    def __init__(
        self, meter: DelayMeter, held: Callable[[], Mapping[tuple[str, str], int]]
    ) -> None:
        self._meter = meter
        self._held = held

    def collect(self) -> Iterable[Metric]:
        """Three families; every possible hop from the start."""
        yield counter("jobs_hops_total", list(self._meter.hops.items()))
        late = [((queue,), *found.shown) for queue, found in self._meter.late.items()]
        yield histogram("jobs_delay_lateness_seconds", late)
        places = {(queue, rung): 0 for queue, rung, _ in list(self._meter.hops)}
        yield gauge("jobs_delayed_held_records", {**places, **self._held()}.items())
