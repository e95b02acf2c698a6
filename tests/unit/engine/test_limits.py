"""The limits of job types in one worker: slots, rates, and what an owner before leaves unknown."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from tests.unit.engine.limited import first, job, limited
from tests.unit.shop import Works

from jobstream import Limit
from jobstream_processors.assignment.handover import left_of
from jobstream_processors.core.decide import LET_GO
from jobstream_processors.core.gcra import NEAR_MS
from jobstream_processors.core.headers import parse
from jobstream_processors.core.known import Known
from jobstream_processors.core.orders import CANCEL, PAUSE_QUEUE
from jobstream_processors.core.outcome import DONE, Raised
from jobstream_processors.engine.gates.limit import JobLimits
from jobstream_processors.engine.gates.limited_lane import KEYS_MIN

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.unit.shop import Shop


FAILED = Raised("builtins.OSError", "no", ("builtins.OSError",))


@pytest.fixture
def works(shop: Shop) -> Iterator[Works]:
    loop = asyncio.new_event_loop()
    yield Works(shop, loop, JobLimits(shop.clock))
    loop.close()


def test_so_many_of_a_key_run_at_once_and_the_next_begins_when_one_ends(
    shop: Shop, works: Works
) -> None:
    limited(shop, Limit(concurrency=2, per="to"))
    lane = first(works)
    works.accept(lane, *(job(shop, name) for name in "abcd"), job(shop, "other", "k2"))
    assert works.hand.started == ["a", "b", "other"]
    assert works.kept(lane) == {"c": "concurrency", "d": "concurrency"}

    works.end("b")
    assert works.hand.started == ["a", "b", "other", "c"]
    works.end("a", FAILED)
    works.settle()
    assert works.hand.started == ["a", "b", "other", "c", "d"]
    assert works.kept(lane) == {}


def test_one_that_waits_for_longer_than_a_moment_leaves_by_a_guess_of_its_turn(
    shop: Shop, works: Works
) -> None:
    limited(shop, Limit(concurrency=1, per="to"))
    shop.specs["send"] = replace(shop.specs["send"], expect_ms=1_500)
    lane = first(works)
    now_ms = shop.clock.broker_ms()
    works.accept(lane, *(job(shop, name) for name in "abcd"))
    works.settle()

    assert works.kept(lane) == {"b": "concurrency"}
    copies = [r for rung in ("0s", "5s") for r in shop.broker.records(shop.plan.rungs[rung][0])]
    told = [parse(each.headers()) for each in copies]
    assert [(t.waits, (t.due_ms or 0) - now_ms, t.attempt) for t in told] == [
        ("concurrency", 3_000, 1),
        ("concurrency", 4_500, 1),
    ]


def test_the_guess_goes_by_the_run_times_that_were(shop: Shop, works: Works) -> None:
    limited(shop, Limit(concurrency=1, per="to"))
    lane = first(works)
    works.accept(lane, job(shop, "a"))
    works.pass_ms(60_000)
    works.end("a")
    works.accept(lane, job(shop, "b"), job(shop, "c"))
    works.settle()
    (copy,) = shop.broker.records(shop.plan.rungs["30s"][0])
    assert (parse(copy.headers()).due_ms or 0) - shop.clock.broker_ms() == 60_000


@pytest.mark.parametrize("then", ["cancelled", "breaker"])
def test_those_that_do_not_ask_for_a_slot_again_lengthen_no_guess(
    shop: Shop, works: Works, then: str
) -> None:
    """They are cancelled while they are away, or come back behind another rule."""
    limited(shop, Limit(concurrency=1, per="to"))
    shop.specs["send"] = replace(shop.specs["send"], expect_ms=1_500)
    lane = first(works)
    works.accept(lane, *(job(shop, str(number)) for number in range(60)))
    works.settle()
    rungs = [(topic, at) for topic, count in shop.plan.rungs.values() for at in range(count)]
    copies = [copy for topic, at in rungs for copy in shop.broker.records(topic, at)]
    assert len(copies) == 58
    if then == "cancelled":
        works.order(*((CANCEL, str(number)) for number in range(60)))
    for _ in range(120):
        works.pass_ms(1_000)
        for job_id in list(works.hand.hosted):
            works.end(job_id)
            works.settle()
    for copy in copies:
        told = parse(copy.headers())
        if then == "breaker":
            told = replace(told, waits="breaker")
        works.accept(lane, shop.put(copy.value(), told))
        works.settle()
        for job_id in list(works.hand.hosted):
            works.pass_ms(1_500)
            works.end(job_id)
            works.settle()

    works.accept(lane, job(shop, "x"), job(shop, "y"))

    assert works.hand.started[-1] == "x"
    assert works.kept(lane) == {"y": "concurrency"}  # for a moment, and not on the ladder


def test_a_handler_past_its_time_limit_keeps_its_slot_until_it_stops(
    shop: Shop, works: Works
) -> None:
    limited(shop, Limit(concurrency=1, per="to"))
    lane = first(works)
    works.accept(lane, job(shop, "a"), job(shop, "b"))
    delivery = works.end("a", FAILED, running=True)
    works.settle()
    assert works.hand.started == ["a"]
    works.engine.returned(delivery)
    assert works.hand.started == ["a", "b"]


def test_what_is_taken_back_frees_its_slot_and_keeps_its_place(shop: Shop, works: Works) -> None:
    limited(shop, Limit(concurrency=1, per="to"), Limit(rate="10/s", per="to"))
    lane = first(works)
    works.hand.slots = 0
    works.accept(lane, job(shop, "a"), job(shop, "b"))
    works.order((PAUSE_QUEUE, "mail"))
    assert works.hand.waiting == []
    works.hand.slots = 1
    works.pass_ms(500)
    works.order()
    assert works.hand.started == ["a"]
    works.end("a")
    works.pass_ms(100)
    assert works.hand.started == ["a", "b"]


def test_a_cancelled_job_that_waits_leaves_no_trace(shop: Shop, works: Works) -> None:
    limited(shop, Limit(concurrency=1, per="to"))
    lane = first(works)
    works.accept(lane, job(shop, "a"), job(shop, "b"), job(shop, "c"))
    works.order((CANCEL, "b"))
    works.settle()
    works.end("a")
    assert works.hand.started == ["a", "c"]


def test_a_limit_over_the_cluster_is_divided_so_that_the_sum_is_exact(
    shop: Shop, works: Works
) -> None:
    limited(shop, Limit(concurrency=3))
    lanes = [first(works, partition) for partition in (0, 1)]
    for lane in lanes:
        partition = lane.source[1]
        records = [
            shop.put(shop.event(f"{partition}{name}"), partition=partition) for name in "abc"
        ]
        works.accept(lane, *records)
    assert sorted(works.hand.started) == ["0a", "0b", "1a"]


def test_a_pinned_type_has_the_whole_limit_in_its_partition(shop: Shop, works: Works) -> None:
    limited(shop, Limit(concurrency=1), pinned=True)
    lane = first(works, 1)
    works.accept(lane, *(shop.put(shop.event(name), partition=1) for name in "ab"))
    assert works.hand.started == ["a"]


def test_a_job_that_was_promised_a_moment_has_it_whoever_owns_the_partition(
    shop: Shop, works: Works
) -> None:
    limited(shop, Limit(rate="1/s", per="to"))
    lane = first(works)
    now_ms = shop.clock.broker_ms()
    works.accept(lane, job(shop, "new"))
    promised: dict[str, Any] = {
        "seq": 1,
        "due_ms": now_ms + 1_000,
        "waits": "rate",
        "waits_since_ms": now_ms,
    }
    works.accept(lane, job(shop, "a", **promised), job(shop, "b"))
    works.pass_ms(1_000)
    assert works.hand.started == ["new", "a"]
    works.pass_ms(1_000)
    assert works.hand.started == ["new", "a", "b"]


def test_a_forged_promise_passes_no_rate(shop: Shop, works: Works) -> None:
    limited(shop, Limit(rate="1/s", per="to"))
    lane = first(works)
    now_ms = shop.clock.broker_ms()
    forged: dict[str, Any] = {"seq": 1, "due_ms": now_ms, "waits": "rate", "waits_since_ms": now_ms}
    works.accept(lane, *(job(shop, name, **forged) for name in "abc"))
    assert works.hand.started == ["a"]
    works.pass_ms(1_000)
    assert works.hand.started == ["a", "b"]


def test_after_an_owner_that_died_every_start_counts_as_used(shop: Shop, works: Works) -> None:
    limited(shop, Limit(rate="1/s", burst=3, per="to"))
    lane = shop.lane()
    lane.unclean = 1
    works.engine.begin(lane)
    works.accept(lane, job(shop, "a"))
    works.pass_ms(999)
    assert works.hand.started == []
    works.pass_ms(1)
    assert works.hand.started == ["a"]


def test_after_an_owner_that_left_only_what_is_near_counts_as_used(
    shop: Shop, works: Works
) -> None:
    limited(shop, Limit(rate="1/h", per="to"))
    now_ms = shop.clock.broker_ms()
    lane = shop.lane()
    far = Known(ended=(now_ms + 10_000, 0), moved=(now_ms + 10_000, 0))
    lane.shard.merge([("limit:told:0:1/3600000", far)])
    works.engine.begin(lane)
    works.accept(lane, job(shop, "a", "unknown"), job(shop, "b", "told"))
    works.pass_ms(NEAR_MS - 1)
    assert works.hand.started == []
    works.pass_ms(1)
    works.settle()
    assert works.hand.started == ["a"]
    (copy,) = shop.broker.records(shop.plan.rungs["5s"][0])
    assert parse(copy.headers()).due_ms == now_ms + 10_000


def test_what_an_owner_before_counted_at_another_rate_holds_nobody_up(
    shop: Shop, works: Works
) -> None:
    limited(shop, Limit(rate="10/s", per="to"))
    now_ms = shop.clock.broker_ms()
    lane = shop.lane()
    far = Known(ended=(now_ms + 3_600_000, 0), moved=(now_ms + 9_000_000, 0))
    lane.shard.merge([("limit:told:0:1/3600000", far)])
    works.engine.begin(lane)
    works.accept(lane, job(shop, "a", "told"))
    works.pass_ms(NEAR_MS)
    assert works.hand.started == ["a"]


def test_after_an_owner_that_died_its_suspects_may_still_run(shop: Shop, works: Works) -> None:
    limited(shop, Limit(concurrency=2, per="to"))
    lane = shop.lane()
    lane.unclean, lane.suspect_before = 1, 3
    works.engine.begin(lane)
    works.accept(lane, *(job(shop, name) for name in "abcd"))
    assert works.child.started == []
    works.settle()
    # All that waited has left for the ladder, until no handler of before can be running.
    left = [parse(r.headers()).due_ms for r in shop.broker.records(shop.plan.rungs["30s"][0])]
    assert left == [shop.clock.broker_ms() + 30_000] * 4


def test_one_suspect_alone_does_not_wait_for_itself(shop: Shop, works: Works) -> None:
    limited(shop, Limit(concurrency=1, per="to"))
    lane = shop.lane()
    lane.unclean, lane.suspect_before = 1, 1
    works.engine.begin(lane)
    works.accept(lane, job(shop, "a"))
    works.pass_ms(1)
    assert works.child.started == ["a"]


def test_runs_that_an_owner_left_behind_count_until_they_are_over(shop: Shop, works: Works) -> None:
    limited(shop, Limit(concurrency=2, per="to"))
    lane = shop.lane()
    lane.left = left_of([], [(90, 91, shop.clock.broker_ms() + 1_500)])
    works.engine.begin(lane)
    works.accept(lane, job(shop, "a"), job(shop, "b"))
    assert works.hand.started == ["a"]
    works.pass_ms(1_500)
    assert works.hand.started == ["a", "b"]


def test_a_job_of_a_fast_rate_writes_no_row_of_it_and_one_of_a_slow_rate_does(
    shop: Shop, works: Works
) -> None:
    limited(shop, Limit(rate="100/s", per="to"))
    limited(shop, Limit(rate="1/m", per="to"), name="other")
    lane = first(works)
    works.accept(lane, job(shop, "a"), shop.put(shop.event("b", "other", limit_key="o")))
    works.end("a")
    works.end("b")
    now_ms = shop.clock.broker_ms()
    works.settle()
    rows = [(row.kind, row.id, row.due) for row in shop.rows()]
    assert sorted(rows) == [
        ("job", "a", 0),
        ("job", "b", 0),
        ("limit", "limit:o:0:1/60000", now_ms + 60_000),
    ]
    assert [kind for kind, *_ in rows if kind == "limit" or _[0] == "b"] == ["limit", "job"]


def test_a_promise_that_is_not_wanted_any_more_goes_to_the_next_who_asks(
    shop: Shop, works: Works
) -> None:
    limited(shop, Limit(rate="1/s", per="to"))
    lane = first(works)
    works.accept(lane, job(shop, "a"), job(shop, "b"))
    works.order((CANCEL, "b"))
    works.settle()
    works.accept(lane, job(shop, "c"))
    works.pass_ms(1_000)
    assert works.hand.started == ["a", "c"]


def test_a_job_that_gives_its_unique_key_up_keeps_its_place_in_the_rate(
    shop: Shop, works: Works
) -> None:
    limited(shop, Limit(rate="1/s", per="to"))
    lane = first(works)
    works.accept(lane, job(shop, "a"), job(shop, "b"))
    (waiting,) = [d for d, _ in works.engine.waiting]
    works.engine.turns.settled(waiting, LET_GO)
    works.accept(lane, job(shop, "c"))
    works.pass_ms(1_000)
    assert works.hand.started == ["a", "b"]


def test_idle_keys_are_forgotten(shop: Shop, works: Works) -> None:
    gate = JobLimits(shop.clock)
    works = Works(shop, works.loop, gate)
    limited(shop, Limit(rate="1000/s", per="to"), Limit(concurrency=1, per="to"))
    lane = first(works)
    for number in range(KEYS_MIN // 2 + 100):
        works.accept(lane, job(shop, f"n{number}", f"key-{number}"))
        works.end(f"n{number}", DONE)
        shop.clock.advance(1)
    held = gate._lanes[lane]  # noqa: SLF001 - nothing else shows how many there are
    assert len(held._meters) + len(held._slots) <= 1_000  # noqa: SLF001 - as above
