"""The mirroring thread: each partition's mirror waits for its own broker alone."""

from __future__ import annotations

from queue import SimpleQueue
from typing import TYPE_CHECKING

import pytest
from tests.harness.waiting import wait_until

from jobstream_processors.assignment.mirror import MirrorThread, MirrorWriter
from jobstream_processors.errors import PublishFailure
from jobstream_schemas import decode_mirror

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Never

    from tests.unit.shop import Shop

    from jobstream_processors.assignment.lane import Lane
    from jobstream_processors.ports import Outgoing, Told

LIMIT_S = 120.0
LONG_S = 3_600.0


class Desk:
    """Two lanes and their mirrors; the broker of the first one is dead until it answers."""

    def __init__(self, shop: Shop) -> None:
        self.lanes: list[Lane] = [shop.lane(0), shop.lane(1)]
        for lane in self.lanes:
            lane.limit(10)
        self.waiting: SimpleQueue[Told] = SimpleQueue()
        self.sent: list[int] = []
        self.announced: SimpleQueue[list[tuple[Lane, int]]] = SimpleQueue()
        self.failed: SimpleQueue[BaseException] = SimpleQueue()
        self.thread = MirrorThread(
            MirrorWriter("shop", "offsets", self, shop.clock),
            lambda: self.lanes,
            LONG_S,
            self.failed.put,
            self.announced.put,
        )

    def publish(self, records: Sequence[Outgoing]) -> Never:
        raise AssertionError(records)

    def send(self, records: object) -> Never:
        raise AssertionError(records)

    def send_rows(self, place: object, rows: object) -> Never:
        raise AssertionError(place, rows)

    def publish_soon(self, record: Outgoing, done: Told) -> None:
        assert record.value is not None
        partition = decode_mirror(record.value).partition
        self.sent.append(partition)
        if partition == 0:
            self.waiting.put(done)
        else:
            done(None)

    def want(self, lane: Lane, below: int) -> None:
        lane.want(below)
        self.thread.wake()


@pytest.fixture
def desk(shop: Shop) -> Iterator[Desk]:
    made = Desk(shop)
    made.thread.start()
    yield made
    made.thread.close()


def test_a_broker_that_is_away_holds_up_no_other_partition(desk: Desk) -> None:
    dead, alive = desk.lanes
    desk.want(dead, 20)
    answer = desk.waiting.get(timeout=LIMIT_S)

    desk.want(alive, 30)

    assert desk.announced.get(timeout=LIMIT_S) == [(alive, 30)]
    assert desk.announced.empty()
    answer(None)
    assert desk.announced.get(timeout=LIMIT_S) == [(dead, 20)]


def test_one_mirror_of_a_partition_is_on_its_way_and_the_next_follows_it(desk: Desk) -> None:
    dead, alive = desk.lanes
    desk.want(dead, 20)
    answer = desk.waiting.get(timeout=LIMIT_S)
    desk.want(dead, 40)
    desk.want(alive, 30)
    assert desk.announced.get(timeout=LIMIT_S) == [(alive, 30)], "it has looked at both"
    alive.may_begin = 30
    assert desk.waiting.empty()

    answer(None)

    # No more than what the acknowledged mirror says.
    assert desk.announced.get(timeout=LIMIT_S) == [(dead, 20)]
    desk.waiting.get(timeout=LIMIT_S)(None)
    assert desk.announced.get(timeout=LIMIT_S) == [(dead, 40)]


def test_what_was_not_acknowledged_is_told_to_nobody_and_sent_again(desk: Desk) -> None:
    dead, _ = desk.lanes
    desk.want(dead, 20)
    desk.waiting.get(timeout=LIMIT_S)(PublishFailure("no leader"))

    desk.thread.wake()

    wait_until(lambda: desk.sent.count(0) == 2, "it is sent again", limit_s=LIMIT_S)
    assert desk.announced.empty()
