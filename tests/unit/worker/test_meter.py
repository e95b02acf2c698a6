"""What is counted: no value lost, none torn, no series that a stranger could make."""

from __future__ import annotations

import threading
import time
from bisect import bisect_left
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobstream_processors.core.headers import Carried
from jobstream_processors.core.outcome import (
    DONE,
    RETURNED,
    Again,
    Cancelled,
    Crashed,
    DeclaredDead,
    Interrupted,
    Raised,
    TimedOut,
)
from jobstream_processors.core.retry import Backoff
from jobstream_processors.engine.engine import Engine
from jobstream_processors.execute.running import measured
from jobstream_processors.histogram import Edges, Histogram
from jobstream_processors.job_types import ASYNC, PROCESS
from jobstream_processors.meter import Meter, TypeMeter
from jobstream_processors.turn_meter import TurnMeter
from jobstream_processors.watch.reports import Reports

if TYPE_CHECKING:
    from jobstream_processors.assignment.lane import Lane
    from jobstream_processors.core.outcome import Outcome

    Works = Any  # tests import nothing from a conftest
    Shop = Any

EDGES = Edges(run=(0.01, 1.0), wait=(0.5, 60.0), attempts=(1.0, 2.0), late=(0.1,))
RAISED = Raised("builtins.ValueError", "no", ("builtins.ValueError",))
DEADLINE_S = 120
ROUNDING_S = 1e-6


@given(
    st.lists(st.lists(st.floats(-1, 100), min_size=1), max_size=5),
    st.lists(st.floats(0, 50), min_size=1, unique=True).map(sorted),
)
def test_folding_in_any_portions_is_counting_one_by_one(
    portions: list[list[float]], edges: list[float]
) -> None:
    histogram, expected, values = Histogram(edges), [0] * (len(edges) + 1), []
    for portion in portions:
        values += portion
        for value in portion:
            expected[bisect_left(edges, value)] += 1
        histogram.fold(list(portion))

    counts, total = histogram.shown
    assert list(counts) == expected
    assert total == pytest.approx(sum(max(0.0, value) for value in values))


def test_an_edge_belongs_to_its_own_bucket() -> None:
    histogram = Histogram((1.0, 2.0), unit=1_000)

    histogram.fold([1_000.0, 1_000.1, 2_000.0, 2_000.1])

    assert histogram.shown[0] == (1, 2, 1)
    assert histogram.shown[1] == pytest.approx(6.0002)


def test_what_another_thread_reads_is_never_torn_and_nothing_is_lost() -> None:
    meter, rounds, done = TypeMeter("mail", "send", EDGES, None), 300, threading.Event()
    seen: list[tuple[int, float]] = []

    def read() -> None:
        while not done.is_set():
            counts, total = meter.ran_ok.shown
            seen.append((sum(counts), total))

    reader = threading.Thread(target=read)
    reader.start()
    for _ in range(rounds):
        for _ in range(50):
            meter.ran(DONE, 0.5, 1.0)
        meter.fold()
    done.set()
    reader.join(DEADLINE_S)

    assert all(total == pytest.approx(0.5 * count) for count, total in seen)
    assert all(before <= after for before, after in pairwise(seen))
    assert sum(meter.ran_ok.shown[0]) == sum(meter.wait.shown[0]) == 50 * rounds


@pytest.mark.parametrize(
    ("outcome", "is_error"),
    [
        (DONE, False),
        (RETURNED, False),
        (Cancelled("no"), False),
        (Again(5, uses_attempt=False, reason=""), False),
        (Again(5, uses_attempt=True, reason=""), True),
        (RAISED, True),
        (TimedOut(5), True),
        (Crashed("killed"), True),
        (DeclaredDead("dead_by_handler", ""), True),
    ],
)
def test_a_run_is_ok_or_an_error(outcome: Outcome, is_error: bool) -> None:  # noqa: FBT001
    meter = TypeMeter("mail", "send", EDGES, None)

    meter.ran(outcome, 0.5, 1.0)
    meter.fold()

    assert sum(meter.ran_error.shown[0]) == is_error
    assert sum(meter.ran_ok.shown[0]) == (not is_error)


def test_the_parts_of_a_turn_sum_to_wall_clock() -> None:
    began = time.perf_counter()
    turn = TurnMeter("shop")
    made = time.perf_counter()
    for part in ("poll", "hand", "wait", "commit", "other") * 200:
        turn.spent(part)
    last = time.perf_counter()
    turn.spent("other")
    ended = time.perf_counter()

    counted = sum(turn.seconds.values())
    assert last - made - ROUNDING_S < counted < ended - began + ROUNDING_S


class Counted:
    """The works of these tests, with a meter."""

    def __init__(self, works: Works) -> None:
        self.works = works
        shop = self.shop = works.shop
        self.meter = Meter("shop", shop.plans, shop.specs, EDGES)
        take = works.decided.extend
        engine = Engine(shop.intake, shop.judge, shop.clock, take, works.loop, self.meter)
        reports = Reports(shop.clock.monotonic_ms)
        engine.run_on({ASYNC: works.hand, PROCESS: works.child}, reports)
        works.engine = engine
        self.lane: Lane = works.lane()
        self.lane.meter = self.meter.queues["mail"]

    def of(self, job_type: str) -> TypeMeter:
        return self.meter.queues["mail"].of(job_type)

    def run(self, job_id: str, outcome: Outcome = DONE, **put: Any) -> None:  # noqa: ANN401 - of `put`
        record = self.shop.put(self.shop.event(job_id), **put)
        self.works.accept(self.lane, record)
        self.works.end(job_id, outcome)
        self.works.settle()
        self.works.engine.tick()


@pytest.fixture
def counted(works: Works) -> Counted:
    return Counted(works)


def test_ends_are_counted_by_outcome(counted: Counted) -> None:
    counted.run("a")
    counted.run("b", RETURNED)
    counted.run("c", Again(50, uses_attempt=False, reason=""))
    counted.run("d", RAISED)
    counted.run("e", Cancelled("no"))
    counted.run("f", RAISED, carried=Carried(attempt=3))

    send = counted.of("send")
    assert send.done == 2
    assert send.settled == {
        "retry": 1,
        "snoozed": 1,
        "dead": 1,
        "cancelled": 1,
        "expired": 0,
        "duplicate": 0,
    }
    assert send.dead == {"attempts_exhausted": 1}
    assert (send.retries["0s"], send.retries["5s"]) == (1, 1)
    assert send.failures["transient"] == 2
    # Ended at the first attempt: a, b, e; at the third: f. Moves end nothing.
    assert send.attempts.shown[0] == (3, 0, 1)
    assert sum(send.end_to_end.shown[0]) == 4


def test_what_is_not_acknowledged_is_not_counted_yet(counted: Counted) -> None:
    works, shop = counted.works, counted.shop
    works.accept(counted.lane, shop.send("a"))
    works.end("a")

    works.engine.tick()
    assert counted.of("send").done == 0
    works.settle()
    works.engine.tick()
    assert counted.of("send").done == 1


def test_a_second_delivery_is_a_dedup_hit_and_no_second_end(counted: Counted) -> None:
    counted.run("a")
    counted.works.accept(counted.lane, counted.shop.send("a"))
    counted.works.settle()

    assert counted.meter.queues["mail"].absorbed == 1
    assert counted.of("send").done == 1


def test_an_interrupted_run_counts_nothing(counted: Counted) -> None:
    works, shop = counted.works, counted.shop
    works.accept(counted.lane, shop.send("a"))
    shop.clock.advance(1)
    delivery = works.hand.hosted["a"]
    delivery.began = shop.clock.awake_s()

    measured(delivery, Interrupted(), shop.clock.awake_s())
    works.end("a", Interrupted())
    works.settle()
    works.engine.tick()

    send = counted.of("send")
    assert (send.done, sum(send.ran_ok.shown[0]), sum(send.ran_error.shown[0])) == (0, 0, 0)
    assert not any(send.failures.values())


def test_the_wait_is_from_append_to_start(counted: Counted) -> None:
    works, shop = counted.works, counted.shop
    record = shop.send("a")
    shop.clock.advance(30_000)
    works.accept(counted.lane, record)
    delivery = works.hand.hosted["a"]
    delivery.began = shop.clock.awake_s()
    measured(delivery, DONE, delivery.began)
    works.engine.tick()

    counts, total = counted.of("send").wait.shown
    assert counts == (0, 1, 0)
    assert total == 30


def test_a_retry_in_place_is_no_end(counted: Counted) -> None:
    shop, works = counted.shop, counted.works
    shop.handle("hold", backoff=Backoff(attempts=3, first="1s", jitter=False), holds_key=True)
    works.accept(counted.lane, shop.send("a", "hold", key="k"))
    works.end("a", RAISED)
    works.settle()

    held = counted.of("hold")
    assert held.retries["in place"] == 1
    assert (held.done, any(held.settled.values())) == (0, False)
    # It waits from the moment it is due again, not from its append.
    works.pass_ms(1_000)
    assert works.hand.hosted["a"].appended == shop.clock.awake_s() * 1_000


def test_strangers_are_counted_without_a_name(counted: Counted) -> None:
    shop, works = counted.shop, counted.works
    shop.handle("theirs")
    theirs = [shop.event(f"s{n}", "theirs") for n in range(3)]
    del shop.specs["theirs"]
    works.accept(counted.lane, *(shop.put(value) for value in (*theirs, b"no job", b"")))
    works.settle()
    works.engine.tick()

    meters = counted.meter.queues["mail"].meters()
    assert {meter.job_type for meter in meters} == {*shop.specs, "_unknown"}
    unknown = meters[-1]
    assert unknown.settled["retry"] == 3
    assert unknown.failures["undecodable"] == 2
    assert unknown.dead == {"undecodable": 2}


def test_a_registered_type_on_another_queue_has_a_series_there(counted: Counted) -> None:
    queue = counted.meter.queues["mail"]
    before, spec = len(queue.meters()), counted.shop.handle("report")
    counted.shop.specs["report.v1"] = spec

    first, second = queue.of("report.v1"), queue.of("report")

    assert first is second
    assert (first.queue, first.job_type) == ("mail", "report")
    assert len(queue.meters()) == before + 1


def test_it_counts_nothing_without_a_meter(works: Works) -> None:
    lane = works.lane()
    works.accept(lane, works.shop.send("a"))
    delivery = works.hand.hosted["a"]

    measured(delivery, DONE, works.shop.clock.awake_s())
    works.end("a")
    works.settle()

    assert delivery.meter is None
    assert lane.watermark.position == 1
