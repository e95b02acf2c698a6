"""A gate with rules of job types: what it says of a job, and what the engine does about it."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from tests.unit.shop import Works

from jobstream.build_kind import build_kind
from jobstream_processors.core.decide import End, postponed
from jobstream_processors.core.headers import Carried, parse
from jobstream_processors.core.known import CANCELLED, DUPLICATE
from jobstream_processors.core.orders import CANCEL, PAUSE_QUEUE
from jobstream_processors.core.outcome import Interrupted, Raised
from jobstream_processors.core.verdict import MOMENT_MS, NotBefore
from jobstream_processors.engine.gates.gate import Gate

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from tests.unit.shop import Shop

    from jobstream_processors.core.decide import Decision
    from jobstream_processors.delivery import Delivery
    from jobstream_processors.engine.waiting import WaitingRoom
    from jobstream_processors.ports import Record

if build_kind() == "compiled":
    pytest.skip("inherits from a compiled class", allow_module_level=True)

FAILED = Raised("builtins.OSError", "no", ("builtins.OSError",))
AT_ONCE = 0
NEVER = 1 << 40


class Book(Gate):
    """Says of each job what the test wrote down, and notes what it is told."""

    has_rules = True

    def __init__(self) -> None:
        self.wait_ms: dict[str, int] = {}
        """Until which broker time each job waits, from the first time it is asked about."""
        self.instead: dict[str, End] = {}
        self.met: dict[str, End] = {}
        self.told: list[str] = []
        self.free: deque[Delivery] = deque()
        self.until: dict[str, int] = {}

    def meets(
        self,
        room: WaitingRoom,  # noqa: ARG002 - the shape of it
        delivery: Delivery,
        judged: Decision | None,  # noqa: ARG002 - as above
        now_ms: int,  # noqa: ARG002 - as above
    ) -> Decision | None:
        return self.met.get(delivery.id)

    def asks(self, _: WaitingRoom, delivery: Delivery, now_ms: int) -> NotBefore | Decision | None:
        self.told.append(f"asks {delivery.id}")
        if (end := self.instead.get(delivery.id)) is not None:
            return end
        wait_ms = self.wait_ms.get(delivery.id, AT_ONCE)
        until_ms = self.until.setdefault(delivery.id, now_ms + wait_ms)
        return NotBefore("rate", until_ms) if until_ms > now_ms else None

    def taken(self, _: WaitingRoom, delivery: Delivery) -> None:
        self.told.append(f"taken {delivery.id}")

    def taken_back(self, _: WaitingRoom, deliveries: Collection[Delivery], *__: int) -> None:
        self.told += [f"taken back {d.id}" for d in deliveries]

    def learn(self, _: WaitingRoom, delivery: Delivery, *__: object) -> None:
        self.told.append(f"learn {delivery.id}")

    def settled(self, delivery: Delivery, _: Decision) -> None:
        self.told.append(f"settled {delivery.id}")

    def returned(self, delivery: Delivery) -> None:
        self.told.append(f"returned {delivery.id}")

    def released(self) -> Sequence[Delivery]:
        found = list(self.free)
        self.free.clear()
        for delivery in found:
            self.until[delivery.id] = AT_ONCE
        return found

    def begin(self, room: WaitingRoom) -> None:
        self.told.append(f"begin {room.lane.source[1]}")


@pytest.fixture
def book() -> Book:
    return Book()


@pytest.fixture
def works(shop: Shop, book: Book) -> Iterator[Works]:
    for name in ("send", "held"):
        shop.specs[name] = replace(shop.specs[name], gated=True)
    loop = asyncio.new_event_loop()
    yield Works(shop, loop, book)
    loop.close()


def turn(works: Works) -> None:
    """Let the loop come round once."""
    works.loop.call_soon(works.loop.stop)
    works.loop.run_forever()


def waited(records: Sequence[Record]) -> list[tuple[str, int | None, int, int]]:
    """(reason, due, seq, attempt) of each copy."""
    found = [parse(record.headers()) for record in records]
    return [(c.waits, c.due_ms, c.seq, c.attempt) for c in found]


def test_a_type_without_rules_is_asked_about_nothing(shop: Shop, works: Works, book: Book) -> None:
    lane = works.lane()
    works.accept(lane, shop.send("a", "other"))
    works.end("a")
    works.settle()

    assert works.hand.started == ["a"]
    assert book.told == ["begin 0"]


def test_a_job_whose_turn_is_near_waits_in_memory_while_others_go_on(
    shop: Shop, works: Works, book: Book
) -> None:
    book.wait_ms["a"] = MOMENT_MS
    lane = works.lane()
    works.accept(lane, shop.send("a"), shop.send("b"))

    assert works.hand.started == ["b"]
    assert works.kept(lane) == {"a": "rate"}
    assert lane.aside == 1

    works.pass_ms(MOMENT_MS - 1)
    assert works.hand.started == ["b"]
    works.pass_ms(1)
    assert works.hand.started == ["b", "a"]
    assert works.kept(lane) == {}
    works.end("a")
    works.end("b")
    works.settle()
    assert lane.watermark.position == 2
    assert [line for line in book.told if line.endswith("a")] == [
        "asks a",
        "asks a",
        "taken a",
        "learn a",
        "settled a",
    ]


def test_a_job_whose_turn_is_far_leaves_for_the_ladder_and_uses_no_attempt(
    shop: Shop, works: Works, book: Book
) -> None:
    book.wait_ms["a"] = MOMENT_MS + 1
    lane = works.lane()
    now_ms = shop.clock.broker_ms()
    works.accept(lane, shop.send("a"), shop.send("b"))
    works.end("b")
    works.settle()

    assert lane.watermark.position == 2
    assert sorted(shop.told()) == [("job", "b", "done"), ("moved", "a", "")]
    copies = shop.broker.records(shop.plan.rungs["0s"][0], 0)
    assert waited(copies) == [("rate", now_ms + MOMENT_MS + 1, 1, 1)]
    assert parse(copies[0].headers()).waits_since_ms == now_ms
    assert "taken a" not in book.told


def test_it_waits_since_the_first_time_that_it_had_to_for_one_reason(
    shop: Shop, works: Works
) -> None:
    works.accept(works.lane(), shop.send("a"))
    case = works.engine.judge.case(works.hand.hosted["a"])
    before = replace(case.carried, waits="rate", waits_since_ms=5)
    later = NotBefore("rate", case.now_ms + 60_000)

    again = postponed(replace(case, carried=before), later)
    first = postponed(replace(case, carried=replace(before, waits="fair")), later)

    assert again.carried.waits_since_ms == 5
    assert first.carried.waits_since_ms == case.now_ms


def test_a_turn_beyond_the_dedup_window_comes_back_within_it_to_be_asked_again(
    shop: Shop, works: Works, book: Book
) -> None:
    book.wait_ms["a"] = NEVER
    lane = works.lane()
    now_ms = shop.clock.broker_ms()
    works.accept(lane, shop.send("a"))
    works.settle()

    copies = shop.broker.records(shop.plan.rungs["1d"][0], 0)
    assert waited(copies) == [("rate", now_ms + shop.plan.window_ms, 1, 1)]


def test_a_job_with_an_order_key_waits_in_memory_and_its_key_is_parked(
    shop: Shop, works: Works, book: Book
) -> None:
    book.wait_ms["a"] = 3_600_000
    lane = works.lane()
    works.accept(lane, shop.send("a", key="k"), shop.send("b", key="k"), shop.send("c"))

    assert works.hand.started == ["c"]
    assert works.kept(lane) == {"a": "rate", "b": "key"}

    works.pass_ms(3_600_000)
    assert works.hand.started == ["c", "a"]
    works.end("a")
    assert works.hand.started == ["c", "a", "b"]


def test_a_gate_may_end_a_job_when_it_is_read_or_when_it_would_begin(
    shop: Shop, works: Works, book: Book
) -> None:
    book.met["a"] = End(DUPLICATE, "of x")
    book.instead["b"] = End(DUPLICATE, "of y")
    lane = works.lane()
    works.accept(lane, *(shop.send(name, key="k") for name in "abc"))
    turn(works)
    works.settle()

    assert works.hand.started == ["c"]
    assert shop.told() == [("job", "a", "duplicate"), ("job", "b", "duplicate")]
    assert [row.detail for row in shop.rows()] == ["of x", "of y"]


def test_many_jobs_of_one_key_that_end_without_a_run_need_no_stack(
    shop: Shop, works: Works, book: Book
) -> None:
    names = [f"n{number}" for number in range(3_000)]
    book.instead = dict.fromkeys(names, End(DUPLICATE, "of x"))
    lane = works.lane()
    works.accept(lane, *(shop.send(name, key="k") for name in names))
    for _ in names:
        turn(works)
    works.settle()

    assert lane.watermark.position == len(names)


def test_a_gate_that_releases_jobs_is_asked_about_them_at_once(
    shop: Shop, works: Works, book: Book
) -> None:
    book.wait_ms["a"] = MOMENT_MS
    lane = works.lane()
    works.accept(lane, shop.send("a"), shop.send("b"))
    (waiting,) = [d for d, _ in works.engine.waiting]
    book.free.append(waiting)
    works.end("b", FAILED)

    assert works.hand.started == ["b", "a"]


def test_a_job_that_waits_is_held_while_its_queue_is_paused_and_asked_about_after_it(
    shop: Shop, works: Works, book: Book
) -> None:
    book.wait_ms["a"] = 1_000
    lane = works.lane()
    works.accept(lane, shop.send("a"))
    works.order((PAUSE_QUEUE, "mail"))
    works.pass_ms(1_000)
    assert works.kept(lane) == {"a": "paused"}

    works.order()
    assert works.hand.started == ["a"]


def test_a_job_that_waits_can_be_cancelled(shop: Shop, works: Works, book: Book) -> None:
    book.wait_ms["a"] = 1_000
    lane = works.lane()
    works.accept(lane, shop.send("a"))
    works.order((CANCEL, "a"))
    works.settle()
    assert not works.engine.turns.kept
    works.pass_ms(1_000)

    assert works.hand.started == []
    assert "taken back a" in book.told
    assert shop.told() == [("job", "a", CANCELLED)]


def test_an_ended_lane_leaves_nothing_waiting(shop: Shop, works: Works, book: Book) -> None:
    book.wait_ms = {"a": 1_000, "b": 1_000}
    one, other = works.lane(0), works.lane(1)
    works.accept(one, shop.send("a"))
    works.accept(other, shop.put(shop.event("b"), partition=1))
    works.engine.end(one)
    assert [d.id for d in works.engine.turns.kept] == ["b"]

    works.pass_ms(1_000)
    assert works.hand.started == ["b"]
    assert not works.engine.turns.kept


def test_a_run_that_outlives_its_limit_is_told_of_when_it_returns(
    shop: Shop, works: Works, book: Book
) -> None:
    lane = works.lane()
    works.accept(lane, shop.send("a"))
    delivery = works.end("a", FAILED, running=True)
    works.settle()
    works.engine.returned(delivery)

    assert book.told == ["begin 0", "asks a", "taken a", "learn a", "settled a", "returned a"]


def test_a_run_that_is_interrupted_is_learnt_of_too(shop: Shop, works: Works, book: Book) -> None:
    lane = works.lane()
    works.accept(lane, shop.send("a"))
    works.end("a", Interrupted())

    assert book.told[-1] == "learn a"


@pytest.mark.parametrize(("told", "place"), [(0, 0), (900, 1)])
def test_no_job_stands_behind_its_own_copy_for_its_unique_key(
    shop: Shop, told: int, place: int
) -> None:
    """A place above may be a stranger's, or of the topic that was here before."""
    lane = shop.lane()
    shop.send("before")
    copy = shop.put(shop.event("a", unique_key="k"), Carried(seq=1, place=told))

    (made,) = shop.deliver(lane, copy)

    assert made.unique is not None
    assert made.unique.place == place
