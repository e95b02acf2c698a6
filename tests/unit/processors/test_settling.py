"""The settling thread: batches, tries again what failed, and tells when it can't go on."""

from __future__ import annotations

import threading
from queue import SimpleQueue
from typing import TYPE_CHECKING

import pytest

from jobstream_processors.core.decide import FINISH
from jobstream_processors.errors import WorkerStopped
from jobstream_processors.pulse import GuardedSink, Pulse
from jobstream_processors.settle import Settler
from jobstream_processors.settling import SettleThread

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.unit.processors.conftest import Shop

    from jobstream_processors.lane import Lane
    from jobstream_processors.settle import Decided

LIMIT_S = 20.0


class Office:
    """A settling thread and what it reported."""

    def __init__(self, shop: Shop) -> None:
        self.shop = shop
        self.pulse = Pulse(shop.clock, 1_000)
        self.reported: SimpleQueue[list[str]] = SimpleQueue()
        self.failed: SimpleQueue[BaseException] = SimpleQueue()
        settler = Settler(GuardedSink(shop.sink, self.pulse), shop.plans, shop.clock)
        self.thread = SettleThread(settler, self._report, self.failed.put)

    def _report(self, batch: list[Decided]) -> None:
        self.reported.put([delivery.id for delivery, _ in batch])

    def decided(self, lane: Lane, *ids: str) -> list[Decided]:
        found = self.shop.deliver(lane, *(self.shop.send(job_id) for job_id in ids))
        return [(delivery, FINISH) for delivery in found]

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


def test_closing_settles_what_was_put_before(office: Office) -> None:
    office.thread.put(office.decided(office.shop.lane(), "a"))
    office.thread.start()

    office.thread.close(LIMIT_S)

    assert office.next() == ["a"]
    assert "jobstream-settle" not in [thread.name for thread in threading.enumerate()]


def test_a_process_that_must_publish_no_more_is_told_and_nothing_is_settled(
    office: Office,
) -> None:
    office.pulse.stop("frozen")
    office.thread.put(office.decided(office.shop.lane(), "a"))
    office.thread.start()

    assert isinstance(office.failed.get(timeout=LIMIT_S), WorkerStopped)
    assert office.shop.rows() == []
    assert office.reported.empty()
