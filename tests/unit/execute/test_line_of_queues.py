"""Where deliveries wait for a slot: what comes out next, and what is taken out without one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from jobstream.job_queue import Queue
from jobstream.testing import MemoryShard, VirtualClock
from jobstream_processors.assignment.lane import Arrival, Lane
from jobstream_processors.core.outcome import DONE, Interrupted
from jobstream_processors.core.watermark import Watermark
from jobstream_processors.delivery import Delivery
from jobstream_processors.execute.by_weight import ByWeight, line_for
from jobstream_processors.execute.line_of_queues import InOrder, OneQueue, SlotLine

if TYPE_CHECKING:
    from collections.abc import Callable

    from jobstream_processors.core.outcome import Outcome

PLANS = {name: Queue(name, weight=weight).plan("shop") for name, weight in (("a", 3), ("b", 1))}


class Shelf:
    """Lanes of two queues, and deliveries of them with turns in the order of their making."""

    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.lanes = {name: self.lane(name) for name in PLANS}
        self.turns: dict[Delivery, int] = {}

    def lane(self, queue: str) -> Lane:
        return Lane(Arrival(queue, (queue, 0), 1, 10), MemoryShard(), Watermark(0))

    def put(self, line: SlotLine, names: str) -> list[Delivery]:
        """One delivery for each letter, each of the queue so called."""
        made = []
        for name in names:
            delivery = Delivery(self.lanes[name], len(self.turns), b"", None)
            self.turns[delivery] = len(self.turns)
            line.append(delivery)
            made.append(delivery)
        return made

    def run(self, line: SlotLine, ended: Callable[[Delivery, Outcome], None], jobs: int) -> str:
        """So many one after the other, 10 ms each; the queues of them, in that order."""
        queues = ""
        for _ in range(jobs):
            delivery = line.popleft()
            delivery.begins(self.clock.awake_s())
            queues += delivery.lane.queue
            self.clock.advance(10)
            ended(delivery, DONE)
        return queues


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


def taken(line: SlotLine) -> str:
    """The queues of all that waits, in the order in which it gets slots."""
    return "".join(line.popleft().lane.queue for _ in range(len(line)))


def lines(shelf: Shelf) -> dict[str, SlotLine]:
    strict, shared = (line_for(PLANS, shelf.clock.awake_s, strict=it) for it in (True, False))
    return {"strict": strict, "by_weight": shared, "one": OneQueue()}


@pytest.mark.parametrize(("kind", "order"), [("strict", "aaaabbb"), ("by_weight", "baaabab")])
def test_who_is_next(shelf: Shelf, kind: str, order: str) -> None:
    line = lines(shelf)[kind]
    shelf.put(line, "bbbaaaa")

    assert taken(line) == order
    with pytest.raises(IndexError):
        line.popleft()


def test_one_queue_has_a_plain_line(shelf: Shelf) -> None:
    alone = {"a": PLANS["a"]}

    assert isinstance(line_for(alone, shelf.clock.awake_s, strict=False), OneQueue)
    assert isinstance(line_for(PLANS, shelf.clock.awake_s, strict=False), ByWeight)
    assert isinstance(line_for(PLANS, shelf.clock.awake_s, strict=True), InOrder)


@pytest.mark.parametrize("kind", ["strict", "by_weight", "one"])
def test_what_is_taken_out_gets_no_slot_and_the_others_keep_their_order(
    shelf: Shelf, kind: str
) -> None:
    line = lines(shelf)[kind]
    first, second, third, fourth = shelf.put(line, "abab" if kind != "one" else "aaaa")
    other = shelf.lane("a")
    shelf.lanes["a"] = other
    (late,) = shelf.put(line, "a")

    assert line.withdraw(other) == [late]
    assert line.withdraw(other) == []
    line.remove(third)

    assert [*line] == [first, second, fourth]
    assert (third in line, fourth in line, len(line)) == (False, True, 3)


@pytest.mark.parametrize("kind", ["strict", "by_weight", "one"])
def test_what_is_put_back_stands_where_it_stood(shelf: Shelf, kind: str) -> None:
    line = lines(shelf)[kind]
    made = shelf.put(line, "aaa")
    begun = [line.first(), line.first()]
    line.take(begun[0])
    begun[1] = line.popleft()

    line.put_back(begun[1], shelf.turns)
    line.put_back(begun[0], shelf.turns)

    assert [line.popleft() for _ in made] == made


def test_before_a_job_of_a_queue_stand_only_those_of_its_own(shelf: Shelf) -> None:
    both, one = lines(shelf)["by_weight"], lines(shelf)["one"]
    shelf.put(both, "aabbb")
    shelf.put(one, "aa")

    assert (both.beside("a"), both.beside("b"), one.beside("a")) == (3, 2, 0)


def test_a_run_past_its_limit_is_counted_until_it_gives_its_slot_back(shelf: Shelf) -> None:
    line = lines(shelf)["by_weight"]
    told: list[str] = []
    ended, returned = line.ear(
        lambda delivery, outcome: told.append(f"{delivery.offset} {outcome}"),
        lambda delivery: told.append(f"{delivery.offset} is back"),
        list,
    )
    (first, *_) = shelf.put(line, "a" + "b" * 30)
    assert line.popleft() is first
    shelf.put(line, "a" * 30)

    shelf.clock.advance(10_000)
    first.outlives()
    ended(first, Interrupted())
    shelf.clock.advance(20_000)
    first.outlived = False
    returned(first)

    assert told == [f"0 {Interrupted()}", "0 is back"]
    # It had a slot for 30 s: the other queue has 10 s to catch up, with runs of a second each.
    for number in range(10):
        delivery = line.popleft()
        assert delivery.lane.queue == "b", number
        shelf.clock.advance(1_000)
        ended(delivery, DONE)


def test_a_queue_whose_jobs_run_on_and_on_gets_no_more_slots_meanwhile(shelf: Shelf) -> None:
    line = lines(shelf)["by_weight"]
    began_s = shelf.clock.awake_s()
    made = shelf.put(line, "a" * 12)
    running = [(delivery, began_s) for delivery in made]
    ended, _ = line.ear(lambda *_: None, lambda _: None, lambda: running)
    for _ in made:
        line.popleft().begins(began_s)
    shelf.clock.advance(60_000)

    # Four times its share of what one slot has given the other since that one came.
    shelf.put(line, "b" * 30 + "a" * 30)
    for _ in range(10):
        shelf.clock.advance(1_000)
        delivery = line.popleft()
        assert delivery.lane.queue == "b"
        ended(delivery, DONE)


@pytest.mark.parametrize("long", ["a", "b"])
def test_a_run_expected_to_be_long_holds_up_no_queue_that_comes_back_meanwhile(
    shelf: Shelf, long: str
) -> None:
    """Neither the other queue nor its own: the last run took ten seconds, this one an instant."""
    line = lines(shelf)["by_weight"]
    ended, _ = line.ear(lambda *_: None, lambda _: None, list)
    before = shelf.put(line, "aabb")  # One of each runs on and on.
    for _ in before:
        line.popleft()
    for delivery in before[1:3]:
        shelf.clock.advance(10_000 if delivery.lane.queue == long else 10)
        ended(delivery, DONE)
    shelf.put(line, "b" * 30 + long)
    while (instant := line.popleft()).lane.queue != long:
        shelf.clock.advance(10)
        ended(instant, DONE)
    shelf.put(line, "a" * 30)
    ended(instant, DONE)

    ran = shelf.run(line, ended, 12)

    assert ran.count("a") >= 8, ran


def test_what_stands_behind_others_in_a_child_uses_nothing_of_the_slots(shelf: Shelf) -> None:
    """Two hundred jobs are handed to a child ahead: together they wait 12 s, and run 0.2 s."""
    line = lines(shelf)["by_weight"]
    ended, _ = line.ear(lambda *_: None, lambda _: None, list)
    other, *ahead = shelf.put(line, "b" + "a" * 201)
    started = [line.popleft() for _ in range(201)]
    assert set(started) == {other, *ahead[:200]}
    other.begins(shelf.clock.awake_s())
    shelf.clock.advance(60)
    line.first()  # It is looked what each has used so far.
    shelf.put(line, "b" * 30)
    ended(other, DONE)
    for delivery in ahead[:200]:
        delivery.begins(shelf.clock.awake_s())
        shelf.clock.advance(1)
        ended(delivery, DONE)
    shelf.put(line, "a" * 60)

    ran = shelf.run(line, ended, 40)

    assert ran.count("b") >= 8, ran


def test_a_queue_is_alone_until_another_has_jobs_and_again_when_that_has_none(shelf: Shelf) -> None:
    line = lines(shelf)["by_weight"]
    ended, _ = line.ear(lambda *_: None, lambda _: None, list)
    alone = shelf.put(line, "bbbb")
    first = line.popleft()
    assert (first, len(line), line.beside("a"), line.beside("b")) == (alone[0], 3, 3, 0)
    line.put_back(first, shelf.turns)
    assert line.first() is first

    shelf.put(line, "aa")
    assert len(line) == 6
    got = [line.popleft() for _ in range(6)]
    assert [each.lane.queue for each in got] == list("baabbb")
    for each in got:
        shelf.clock.advance(100)
        ended(each, DONE)

    (again, *_) = shelf.put(line, "aaa")
    line.remove(again)
    assert line.withdraw(shelf.lanes["b"]) == []
    assert (len(line), [*line], again in line) == (2, [*line], False)
    assert taken(line) == "aa"
    with pytest.raises(IndexError):
        line.popleft()
