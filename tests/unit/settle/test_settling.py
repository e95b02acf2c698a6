"""The settling thread: batches, tries again what failed, and tells when it can't go on."""

from __future__ import annotations

import threading
import time
import weakref
from queue import SimpleQueue
from typing import TYPE_CHECKING

import pytest
from tests.harness.waiting import wait_until

from jobstream_processors.assignment.pulse import GuardedSink, Pulse
from jobstream_processors.core.decide import FINISH
from jobstream_processors.errors import WorkerStopped
from jobstream_processors.settle.settler import Settler
from jobstream_processors.settle.thread import PAUSE_S, SettleThread

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.unit.shop import Shop

    from jobstream_processors.assignment.lane import Lane
    from jobstream_processors.delivery import Decided
    from jobstream_processors.ports import Outgoing

LIMIT_S = 120.0


class Office:
    """A settling thread and what it reported."""

    def __init__(self, shop: Shop) -> None:
        self.shop = shop
        self.pulse = Pulse(shop.clock, 1_000)
        self.reported: SimpleQueue[list[str]] = SimpleQueue()
        self.failed: SimpleQueue[BaseException] = SimpleQueue()
        self.settler = Settler(GuardedSink(shop.sink, self.pulse), shop.plans, shop.clock)
        self.thread = SettleThread(self.settler, self._report, self.failed.put)

    def _report(self, batch: list[Decided]) -> None:
        self.reported.put([delivery.id for delivery, _ in batch])

    def decided(self, lane: Lane, *ids: str) -> list[Decided]:
        found = self.shop.deliver(lane, *(self.shop.send(job_id) for job_id in ids))
        return [(delivery, FINISH) for delivery in found]

    def decided_in(self, partition: int, lane: Lane, *ids: str) -> list[Decided]:
        shop = self.shop
        records = [shop.put(shop.event(job_id), partition=partition) for job_id in ids]
        return [(delivery, FINISH) for delivery in shop.deliver(lane, *records)]

    def next(self) -> list[str]:
        return self.reported.get(timeout=LIMIT_S)


@pytest.fixture
def office(shop: Shop) -> Iterator[Office]:
    made = Office(shop)
    yield made
    made.thread.close(LIMIT_S)


def test_what_gathered_is_settled_in_one_batch_in_its_order(office: Office) -> None:
    lane = office.shop.lane()
    for job_id in "abc":
        office.thread.put(office.decided(lane, job_id))

    office.thread.start()

    assert office.next() == ["a", "b", "c"]


def test_what_failed_is_tried_again_without_being_put_again(office: Office) -> None:
    decided = office.decided(office.shop.lane(), "a")
    office.shop.broker.fail_publishes(3, fate="absent")
    office.thread.start()

    office.thread.put(decided)

    assert office.next() == ["a"]
    assert [row.id for row in office.shop.rows()] == ["a"]


def test_an_action_runs_after_everything_put_before_it(office: Office) -> None:
    lane = office.shop.lane()
    rows: SimpleQueue[int] = SimpleQueue()
    office.thread.put(office.decided(lane, "a", "b"))
    office.thread.call(lambda: rows.put(len(office.shop.rows())))
    office.thread.put(office.decided(lane, "c"))

    office.thread.start()

    assert rows.get(timeout=LIMIT_S) == 2
    assert [office.next(), office.next()] == [["a", "b"], ["c"]]


def test_what_follows_a_lane_comes_when_all_that_it_sent_is_answered(office: Office) -> None:
    # Given a lane that ended while its row had no answer, and one that has nothing out
    lane, other, told = office.shop.lane(), office.shop.lane(1), SimpleQueue[str]()
    dedup = office.shop.plan.dedup
    office.shop.broker.hold_publishes(lambda r: r.topic == dedup and r.partition == 0)
    office.thread.start()
    office.thread.put(office.decided(lane, "a"))
    wait_until(lambda: office.settler.is_late(lane), "its row is under way", limit_s=LIMIT_S)
    lane.live = other.live = False

    # When somebody asks for the end of both, then only the other one is through
    office.thread.after(lane, lambda: told.put(f"{len(office.shop.rows())} rows"))
    office.thread.after(other, lambda: told.put("other"))
    assert told.get(timeout=LIMIT_S) == "other"
    wait_until(lambda: office.settler.is_adrift(lane), "it is adrift", limit_s=LIMIT_S)
    assert told.empty()

    # And the first one with its answer
    office.shop.broker.heal()
    assert told.get(timeout=LIMIT_S) == "1 rows"


def test_what_follows_a_lane_does_not_outlast_the_thread(office: Office) -> None:
    lane, told = office.shop.lane(), SimpleQueue[str]()
    decided = office.decided(lane, "a")
    office.shop.broker.hold_publishes(lambda _: True)
    office.thread.start()
    office.thread.put(decided)
    wait_until(lambda: office.settler.is_late(lane), "its row is under way", limit_s=LIMIT_S)
    lane.live = False
    office.thread.after(lane, lambda: told.put("told"))

    office.thread.close(LIMIT_S)

    assert told.get(timeout=LIMIT_S) == "told"


class Mark:
    """Stands for what a trace keeps."""


def test_what_is_settled_does_not_stay_in_memory(office: Office) -> None:
    lane = office.shop.lane()
    decided = office.decided(lane, "a", "b")
    kept: weakref.WeakSet[Mark] = weakref.WeakSet()
    for delivery, _ in decided:
        delivery.trace = mark = Mark()  # type: ignore[assignment] # a compiled delivery takes no weak reference itself
        kept.add(mark)
    del delivery, mark
    office.thread.put(decided)
    del decided

    office.thread.start()

    assert office.next() == ["a", "b"]
    office.shop.judge.forget(lane)
    wait_until(lambda: not kept, "nothing holds them, though no other job comes", limit_s=LIMIT_S)


def test_closing_settles_what_was_put_before(office: Office) -> None:
    office.thread.put(office.decided(office.shop.lane(), "a"))
    before = set(threading.enumerate())
    office.thread.start()

    office.thread.close(LIMIT_S)

    assert office.next() == ["a"]
    begun = set(threading.enumerate()) - before
    assert "jobstream-settle" not in [thread.name for thread in begun]


def test_a_process_that_must_publish_no_more_is_told_and_nothing_is_settled(
    office: Office,
) -> None:
    office.pulse.stop("frozen")
    office.thread.put(office.decided(office.shop.lane(), "a"))
    office.thread.start()

    assert isinstance(office.failed.get(timeout=LIMIT_S), WorkerStopped)
    assert office.shop.rows() == []
    assert office.reported.empty()


def test_a_partition_without_an_answer_holds_up_no_other(office: Office) -> None:
    # Given a partition whose leader is being elected, and jobs of it and of another one
    slow, quick = office.shop.lane(0), office.shop.lane(1)
    dedup = office.shop.plan.dedup
    office.shop.broker.hold_publishes(lambda r: r.topic == dedup and r.partition == 0)
    office.thread.start()
    office.thread.put(office.decided(slow, "held"))
    office.thread.put(office.decided_in(1, quick, "first"))

    # Then the other one is settled, now and later, and what gathers for the slow one waits
    assert office.next() == ["first"]
    office.thread.put(office.decided(slow, "gathers", "too"))
    office.thread.put(office.decided_in(1, quick, "second"))
    assert office.next() == ["second"]
    wait_until(lambda: office.settler.is_late(slow), "it is known to be late", limit_s=LIMIT_S)
    assert not office.settler.is_late(quick)

    # And it goes on by itself, in its order, once it has a leader
    office.shop.broker.heal()
    assert office.next() == ["held", "gathers", "too"]
    wait_until(lambda: not office.settler.is_late(slow), "it is late no more", limit_s=LIMIT_S)


def test_a_partition_that_fails_is_paced_however_much_of_others_is_settled(office: Office) -> None:
    bad, good = office.shop.lane(0), office.shop.lane(1)
    asked: list[Outgoing] = []

    def refused(record: Outgoing) -> bool:
        asked.extend([record] if record.partition == 0 else [])
        return record.partition == 0

    decided = office.decided(bad, "bad")
    others = [office.decided_in(1, good, f"{number}") for number in range(200)]
    office.shop.broker.fail_publishes(refused, fate="absent")
    began_s = time.monotonic()
    office.thread.start()
    office.thread.put(decided)
    for batch in others:
        office.thread.put(batch)
        office.next()

    # A try for each batch would be 200; pauses grow from 50 ms, and nobody hurries them.
    assert len(asked) < 20 + (time.monotonic() - began_s) / PAUSE_S[1]
    office.shop.broker.heal()
    assert office.next() == ["bad"]
