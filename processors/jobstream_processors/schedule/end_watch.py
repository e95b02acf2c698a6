"""Whether the last job of a schedule goes on: when rows are looked at, and which schedule waits.

A schedule waits for a look at the partition of its own job's row, and for no other. While that
partition can't be read it waits alone, and asks ever more seldom.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobstream_processors.schedule.ends import Ends
from jobstream_processors.schedule.row_look import RowLook

if TYPE_CHECKING:
    from collections.abc import Callable

    from jobstream_processors.ports import Clock, Log, TopicPartition
    from jobstream_processors.schedule.row_look import LogOffset
    from jobstream_processors.schedule.timetable import OwnedSchedule

LOOK_MS, LOOK_MS_MAX = 1_000, 16_000
"""How soon after a job its row is looked for while no tick waits for it, and how seldom at most."""
AGAIN_MS, AGAIN_MS_MAX = 20, 1_000
"""How soon a schedule asks again that waits for a look, at first and at most."""


class EndWatch:
    """What is known of the ends of schedules' jobs. Used by one thread; it never blocks on it."""

    def __init__(
        self, reader: Log, clock: Clock, failed: Callable[[BaseException], object] | None
    ) -> None:
        """Without `failed`, looks are made where they are asked for, as in memory."""
        self._clock = clock
        self._look = RowLook(reader, failed)
        self._looks_ms = 0
        self._rest_ms = LOOK_MS
        self.ends = Ends()

    def forget(self) -> None:
        """No schedule is owned here: others wait for the ends of their jobs."""
        self.ends = Ends()

    def close(self) -> None:
        """Look no more."""
        self._look.close()

    def learn(self) -> None:
        """Take what looks have found."""
        for looked in self._look.answers(self._clock.monotonic_ms()):
            self.ends.learn(looked)

    def look_on(self) -> None:
        """Look for the rows of all jobs that are waited for, if that was long enough ago."""
        now_ms = self._clock.monotonic_ms()
        if not self.ends.waits or now_ms < self._looks_ms:
            return
        self._looks_ms = now_ms + self._rest_ms
        self._rest_ms = min(2 * self._rest_ms, LOOK_MS_MAX)
        self._look.ask(self.ends.asked(), now_ms)

    def watch(self, job_id: str, place: TopicPartition, floor: LogOffset) -> None:
        """Wait for the end of a job that was made just now."""
        self.ends.watch(job_id, place, floor)
        self._rest_ms = LOOK_MS
        self._looks_ms = min(self._looks_ms, self._clock.monotonic_ms() + LOOK_MS)

    def floor(self, place: TopicPartition) -> LogOffset | None:
        """An offset before which no row of a job stands that is made from now on.

        None until a look at a place that is met first has answered.
        """
        if self.ends.floor(place) is None:
            self._ask(place)
        return self.ends.floor(place)

    def goes_on(self, standing: OwnedSchedule) -> bool:
        """Whether it is to wait for its last job, which has not ended as far as looks tell."""
        definition, place = standing.scheduled.definition, standing.place
        return (
            definition is not None
            and definition.overlap != "allow"
            and not self.ends.has_ended(place.job_id, (place.topic, place.partition))
        )

    def knows_enough(self, standing: OwnedSchedule) -> bool:
        """Whether it is clear if its last job goes on: by a look after this moment."""
        if self.goes_on(standing):
            standing.needs_ms = standing.needs_ms or self._clock.monotonic_ms()
        if not self._is_clear(standing):
            self._ask((standing.place.topic, standing.place.partition))
        if is_clear := self._is_clear(standing):
            standing.needs_ms = 0
        return is_clear

    def _is_clear(self, standing: OwnedSchedule) -> bool:
        looked_ms = self.ends.looked_ms((standing.place.topic, standing.place.partition))
        return not self.goes_on(standing) or looked_ms >= standing.needs_ms

    def hold(self, standing: OwnedSchedule) -> None:
        """It waits for a look while others go on; the longer it waits, the more seldom it asks."""
        now_ms = self._clock.monotonic_ms()
        standing.held_ms = standing.held_ms or now_ms
        again_ms = (now_ms - standing.held_ms) // 4
        again_ms = min(AGAIN_MS_MAX, max(AGAIN_MS, again_ms))
        standing.rests_until_ms = self._clock.broker_ms() + again_ms

    def _ask(self, place: TopicPartition) -> None:
        self._look.ask(self.ends.asked(place), self._clock.monotonic_ms())
        self.learn()
