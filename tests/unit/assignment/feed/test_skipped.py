"""A record that the client leaves out is read again; what holds no record is passed."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import pytest

from jobstream.kafka.consume.standstill import LOOK_MS
from jobstream.testing import MemoryLog
from jobstream_processors.assignment.pressure import Limits
from jobstream_processors.assignment.skipped import AGAIN_MAX, Lookout
from jobstream_processors.errors import TableUnavailable

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Iterator, Sequence
    from typing import Never

    from tests.unit.assignment.feed.conftest import Desk

    from jobstream.testing import MemoryBroker
    from jobstream.testing.memory_record import MemoryRecord
    from jobstream_processors.ports import Log, TopicPartition


MINDS = 5
"""The loop comes round more often than the client polls."""


class Here:
    """A loop that calls at once, from whatever thread."""

    def call_soon_threadsafe(self, call: Callable[..., object], *args: object) -> None:
        call(*args)


class Skipping:
    """A desk whose client leaves records out, and the lookout that minds it."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.lookout = self.looking(desk.shop.log)

    def looking(self, log: Log) -> Lookout:
        here = cast("asyncio.AbstractEventLoop", Here())
        return Lookout(log, here, lambda ask: ask(), self.desk.feed.verdicts)

    def turn(self) -> None:
        """Hand over what comes, finish it, and look at what was skipped."""
        begun = len(self.desk.handed)
        self.desk.turns()
        self.desk.finish(*(offset for _, offset in self.desk.handed[begun:]))
        for _ in range(MINDS):
            if self.desk.lane().watermark.holes:
                self.lookout.mind(self.desk.lane())

    def wait(self) -> None:
        """Until the next look at whether partitions stand still."""
        self.desk.shop.clock.advance(LOOK_MS)
        self.desk.pulse.beat()

    def position(self) -> int:
        return self.desk.lane().watermark.position

    def offsets(self) -> list[int]:
        return [offset for _, offset in self.desk.handed]


@pytest.fixture
def skipping(new_desk: Callable[[Limits], Desk]) -> Skipping:
    made = Skipping(new_desk(Limits()))
    made.desk.turns()
    return made


def test_a_record_that_the_client_left_out_is_read_again(
    skipping: Skipping, caplog: pytest.LogCaptureFixture
) -> None:
    desk = skipping.desk
    desk.source.leave_out(desk.place(), 3)
    desk.fill(10)

    skipping.turn()
    assert skipping.position() == 3
    skipping.turn()

    assert skipping.position() == 10
    assert sorted(skipping.offsets()) == list(range(10)), "each of them once"
    assert "record_skipped" in caplog.messages


def test_the_first_record_of_an_assignment_is_missed_too(skipping: Skipping) -> None:
    desk = skipping.desk
    desk.source.leave_out(desk.place(), 0)
    desk.fill(3)

    skipping.turn()
    assert skipping.position() == 0
    skipping.turn()

    assert skipping.position() == 3


@pytest.mark.parametrize("times", [1, AGAIN_MAX + 3])
def test_one_that_is_left_out_at_the_end_is_read_again_and_never_refused(
    skipping: Skipping, caplog: pytest.LogCaptureFixture, times: int
) -> None:
    desk = skipping.desk
    desk.source.leave_out(desk.place(), 2, times=times)
    desk.fill(3)

    skipping.turn()
    assert skipping.position() == 2
    for _ in range(2 << (times + 1)):
        skipping.wait()
        skipping.turn()

    assert (skipping.position(), sorted(skipping.offsets())) == (3, [0, 1, 2])
    assert caplog.messages.count("partition_started_anew") == times
    assert "partition_refused" not in caplog.messages


def test_one_that_comes_with_a_later_record_meanwhile_comes_once(skipping: Skipping) -> None:
    desk = skipping.desk
    desk.source.leave_out(desk.place(), 2)
    desk.fill(3)
    skipping.turn()
    desk.fill(1)

    for _ in range(4):
        skipping.turn()
        skipping.wait()

    assert (skipping.position(), sorted(skipping.offsets())) == (4, [0, 1, 2, 3])


def test_a_paused_partition_stays_paused_when_it_is_read_again(skipping: Skipping) -> None:
    desk = skipping.desk
    desk.source.leave_out(desk.place(), 0)
    desk.fill(2)
    desk.turns()
    desk.feed.obey({"mail"}, quiet=False)
    desk.turns()

    skipping.lookout.mind(desk.lane())
    desk.turns()
    assert skipping.offsets() == [1]
    desk.feed.obey((), quiet=False)
    desk.turns()

    assert skipping.offsets() == [1, 0]


def test_a_client_that_leaves_it_out_again_and_again_stops_that_partition(
    skipping: Skipping, caplog: pytest.LogCaptureFixture
) -> None:
    desk = skipping.desk
    desk.source.leave_out(desk.place(), 1, times=AGAIN_MAX + 1)
    desk.fill(4)

    for _ in range(AGAIN_MAX + 2):
        skipping.turn()
    desk.fill(4)
    desk.turns()

    assert skipping.position() == 1
    refused = [record for record in caplog.records if record.message == "partition_refused"]
    assert [getattr(record, "partition", None) for record in refused] == [desk.place()]
    assert "offset 1" in str(getattr(refused[0], "reason", ""))
    assert [handed for handed in desk.handed if handed[1] > 3] == []
    assert {fact.source[1]: fact.refused for fact in desk.facts()} == {0: True, 1: False}


class Holed(MemoryLog):
    """A log in which some offsets hold no record, as after a transaction."""

    def __init__(self, broker: MemoryBroker, holes: set[int]) -> None:
        super().__init__(broker)
        self._holes = holes
        self.reads = 0

    def read(
        self, partition: TopicPartition, start: int, stop: int
    ) -> Iterator[Sequence[MemoryRecord]]:
        self.reads += 1
        for batch in super().read(partition, start, stop):
            yield [record for record in batch if record.offset() not in self._holes]


class Away(MemoryLog):
    """A log that can't be read."""

    def span(self, partition: TopicPartition) -> Never:
        raise TableUnavailable(str(partition))


def test_offsets_without_a_record_are_passed_after_one_look(
    skipping: Skipping, caplog: pytest.LogCaptureFixture
) -> None:
    desk, markers = skipping.desk, {2, 5, 8}
    log = Holed(desk.shop.broker, markers)
    skipping.lookout = skipping.looking(log)
    for offset in markers:
        desk.source.leave_out(desk.place(), offset, times=1_000)
    desk.fill(10)

    skipping.turn()

    assert (skipping.position(), log.reads) == (10, 1)
    assert "record_skipped" not in caplog.messages


def test_what_was_deleted_before_anybody_looked_stops_the_partition(
    skipping: Skipping, caplog: pytest.LogCaptureFixture
) -> None:
    desk = skipping.desk
    desk.source.leave_out(desk.place(), 0)
    desk.fill(3)
    desk.turns()
    desk.shop.broker.truncate(desk.shop.plan.topic, 0, 2)

    skipping.lookout.mind(desk.lane())
    desk.turns()

    assert "partition_refused" in caplog.messages
    assert desk.lane().refused


def test_a_log_that_can_not_be_read_is_asked_again(
    skipping: Skipping, caplog: pytest.LogCaptureFixture
) -> None:
    desk = skipping.desk
    desk.source.leave_out(desk.place(), 0)
    desk.fill(2)
    desk.turns()

    skipping.looking(Away(desk.shop.broker)).mind(desk.lane())
    assert "skipped_unknown" in caplog.messages
    skipping.lookout.mind(desk.lane())
    desk.turns()

    assert sorted(skipping.offsets()) == [0, 1]
