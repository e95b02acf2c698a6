"""Intake: decodes, judges by the table, and leaves nothing unreadable without a letter."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from jobstream_processors.core.decide import DeadLetter, End, Retry
from jobstream_processors.core.headers import Carried
from jobstream_processors.core.known import DEAD, EXPIRED, Known, Parked, rank_of
from jobstream_processors.core.ladder import EARLY_MS
from jobstream_processors.delivery import HANDED
from jobstream_processors.ports import Outgoing
from jobstream_schemas import JobCodec, Meta

if TYPE_CHECKING:
    from tests.unit.shop import Shop

    from jobstream_processors.assignment.lane import Lane
    from jobstream_processors.core.decide import Decision
    from jobstream_processors.delivery import Delivery
    from jobstream_processors.ports import Record


def judged(shop: Shop, lane: Lane, record: Record) -> tuple[Delivery, Decision | None]:
    ((delivery, decision),) = shop.take(lane, [record])
    return delivery, decision


def test_a_done_job_is_absorbed_and_its_offset_finished(shop: Shop) -> None:
    lane = shop.lane()
    record = shop.send("a")
    (first,) = shop.deliver(shop.lane(), record)
    shop.judge.release(first)
    lane.shard.put_done([("a", *first.identity())])

    assert shop.take(lane, [record]) == []
    assert lane.watermark.position == 1
    assert lane.returned == 1
    assert shop.judge.inflight == {}


def test_an_offset_read_twice_is_begun_once(shop: Shop) -> None:
    lane = shop.lane()
    record = shop.send("a")

    assert len(shop.deliver(lane, record, record)) == 1
    assert lane.returned == 1


def test_garbage_dies_under_the_name_of_its_place(shop: Shop) -> None:
    delivery, decision = judged(shop, shop.lane(1), shop.put(b"garbage", partition=1))

    assert delivery.id == f"@{shop.plan.topic}:1:0"
    assert isinstance(decision, DeadLetter)
    assert decision.carried.reason == "undecodable"


@pytest.mark.parametrize(("early_ms", "waits"), [(EARLY_MS, True), (EARLY_MS - 1, False)])
def test_a_job_that_came_long_before_its_time_goes_back_to_the_ladder(
    shop: Shop, early_ms: int, *, waits: bool
) -> None:
    due_ms = shop.clock.broker_ms() + early_ms
    record = shop.put(shop.event("a"), Carried(seq=4, attempt=2, due_ms=due_ms, delay_ms=7))

    _, decision = judged(shop, shop.lane(), record)

    back = Carried(
        seq=5, attempt=2, due_ms=due_ms, delay_ms=early_ms, enqueued_ms=shop.clock.broker_ms()
    )
    assert decision == (Retry(back) if waits else None)


def test_a_tombstone_in_a_queue_is_garbage(shop: Shop) -> None:
    _, decision = judged(shop, shop.lane(), shop.put(None))

    assert isinstance(decision, DeadLetter)


def test_bad_headers_die_though_the_event_is_sound(shop: Shop) -> None:
    headers = [("js-seq", b"-1")]
    shop.sink.publish([Outgoing(shop.plan.topic, b"k", shop.event("a"), 0, headers)])
    (record,) = shop.broker.records(shop.plan.topic, 0)

    delivery, decision = judged(shop, shop.lane(), record)

    assert delivery.id == f"@{shop.plan.topic}:0:0"
    assert isinstance(decision, DeadLetter)
    assert decision.carried.reason == "bad_headers"
    assert "js-seq" in decision.carried.message


def test_an_unknown_schema_waits_on_the_ladder(shop: Shop) -> None:
    stranger = JobCodec(type(shop.codecs["send"].args(shop.event("x"))), "stranger")
    args = shop.codecs["send"].args(shop.event("x"))
    value = stranger.encode(Meta("a", 1, "test"), args)

    _, decision = judged(shop, shop.lane(), shop.put(value))

    assert isinstance(decision, Retry)
    assert decision.carried.attempt == 1
    assert decision.carried.error == "jobstream.UnknownSchema"
    assert decision.carried.message.startswith("the schema that wrote it, ")


def test_a_known_type_without_a_handler_waits_and_dies_after_an_hour(shop: Shop) -> None:
    shop.handle("gone")
    del shop.specs["gone"]
    lane = shop.lane()
    _, waits = judged(shop, lane, shop.put(shop.event("a", "gone")))
    since_ms = shop.clock.broker_ms()
    shop.clock.advance(3_600_000)
    waited = Carried(unknown_since_ms=since_ms)
    _, dies = judged(shop, lane, shop.put(shop.event("b", "gone"), waited))

    assert isinstance(waits, Retry)
    assert waits.carried.unknown_since_ms == since_ms
    assert waits.carried.first_failed_ms is None
    assert isinstance(dies, DeadLetter)
    assert dies.carried.reason == "unknown_type"


def test_a_job_that_has_retried_for_hours_waits_as_long_for_a_handler(shop: Shop) -> None:
    shop.handle("gone")
    del shop.specs["gone"]
    failed_ms = shop.clock.broker_ms()
    shop.clock.advance(7_200_000)

    retried = Carried(seq=5, attempt=6, first_failed_ms=failed_ms)
    _, waits = judged(shop, shop.lane(), shop.put(shop.event("a", "gone"), retried))

    assert isinstance(waits, Retry)
    assert waits.carried.attempt == 6
    assert waits.carried.first_failed_ms == failed_ms


def test_a_job_retried_in_place_waits_anew_for_a_handler_and_keeps_its_attempt(shop: Shop) -> None:
    lane = shop.lane()
    shop.handle("gone")
    del shop.specs["gone"]
    value = shop.event("a", "gone")
    now_ms = shop.clock.broker_ms()
    shop.clock.advance(7_200_000)
    # It waited for a handler before it found one, and failed there.
    parked = Parked(3, now_ms, snoozes=2, first_failed_ms=now_ms)
    lane.shard.merge([("a", Known(parked=(0, 0, *parked)))])

    _, waits = judged(shop, lane, shop.put(value, Carried(unknown_since_ms=now_ms)))

    assert isinstance(waits, Retry)
    assert waits.carried.unknown_since_ms == shop.clock.broker_ms()
    assert (waits.carried.attempt, waits.carried.snoozes) == (3, 2)


def test_a_job_retried_in_place_dies_too_when_no_worker_has_its_handler(shop: Shop) -> None:
    lane = shop.lane()
    shop.handle("gone")
    del shop.specs["gone"]
    value, carried = shop.event("a", "gone"), Carried()
    since_ms = shop.clock.broker_ms()
    lane.shard.merge([("a", Known(parked=(0, 0, *Parked(3, 0, 2, 1))))])

    delivery, decision = judged(shop, lane, shop.put(value, carried))
    while isinstance(decision, Retry):
        shop.judge.release(delivery)
        shop.clock.advance(decision.carried.delay_ms or 0)
        lane.shard.merge([("a", Known(moved=(0, delivery.carried.seq)))])
        delivery, decision = judged(shop, lane, shop.put(value, decision.carried))

    assert isinstance(decision, DeadLetter)
    assert decision.carried.reason == "unknown_type"
    assert decision.carried.attempt == 3
    assert shop.clock.broker_ms() - since_ms == 3_600_000


def test_a_copy_tells_its_attempt_itself_whatever_was_parked_before(shop: Shop) -> None:
    lane = shop.lane()
    lane.shard.merge([("a", Known(parked=(0, 0, *Parked(2, 0, 1, 1)), moved=(0, 0)))])

    delivery, _ = judged(
        shop, lane, shop.put(shop.event("a"), Carried(seq=1, attempt=5, snoozes=4))
    )

    assert (delivery.carried.attempt, delivery.carried.snoozes) == (5, 4)


def test_an_owner_takes_up_a_wait_in_place_with_its_age_and_snoozes(shop: Shop) -> None:
    lane, now_ms = shop.lane(), shop.clock.broker_ms()
    parked = Parked(3, now_ms + 50, snoozes=2, first_failed_ms=now_ms - 9)
    lane.shard.merge([("a", Known(parked=(0, 0, *parked)))])

    delivery, decision = judged(shop, lane, shop.send("a", "held"))

    assert decision is None
    assert (delivery.carried.attempt, delivery.carried.snoozes) == (3, 2)
    assert delivery.carried.first_failed_ms == now_ms - 9
    assert delivery.due_ms == shop.clock.monotonic_ms() + 50


def test_a_job_expires_so_long_after_its_first_append(shop: Shop) -> None:
    lane = shop.lane()
    now_ms = shop.clock.broker_ms()

    def judge(job_id: str, carried: Carried | None = None) -> Decision | None:
        # Its producer's clock may say anything.
        event = shop.event(job_id, enqueued_at=0, expires_in_ms=60_000)
        return judged(shop, lane, shop.put(event, carried))[1]

    assert judge("fresh") is None
    assert judge("copy", Carried(seq=1, enqueued_ms=now_ms - 59_999)) is None
    assert judge("late", Carried(seq=1, enqueued_ms=now_ms - 60_000)) == End(EXPIRED, "expired")
    # From the append of its redrive: its header is gone by then.
    assert judge("redriven", Carried(redrive=1)) is None
    # A header may lie: nothing was appended after its copy.
    shop_event = shop.put(shop.event("lies", expires_in_ms=0), Carried(enqueued_ms=now_ms + 10**9))
    assert judged(shop, lane, shop_event)[1] == End(EXPIRED, "expired")


def test_the_same_id_with_other_args_is_a_conflict_under_its_own_name(shop: Shop) -> None:
    lane = shop.lane()
    (first,) = shop.deliver(shop.lane(), shop.send("a"))
    shop.judge.release(first)
    lane.shard.put_done([("a", *first.identity())])

    delivery, decision = judged(shop, lane, shop.put(shop.event("a", to="bob")))

    assert delivery.id == f"@{shop.plan.topic}:0:1"
    assert isinstance(decision, DeadLetter)
    assert decision.carried.reason == "id_conflict"


def test_the_same_id_of_another_type_is_a_conflict(shop: Shop) -> None:
    shop.handle("other")
    lane = shop.lane()
    (first,) = shop.deliver(shop.lane(), shop.send("a"))
    shop.judge.release(first)
    lane.shard.put_done([("a", *first.identity())])

    _, decision = judged(shop, lane, shop.put(shop.event("a", "other")))

    assert isinstance(decision, DeadLetter)
    assert decision.carried.reason == "id_conflict"


def test_a_redrive_passes_the_row_of_the_death_before_it(shop: Shop) -> None:
    lane = shop.lane()
    lane.shard.merge([("a", Known(ended=(0, rank_of(DEAD))))])

    assert shop.take(lane, [shop.send("a")]) == []
    delivery, decision = judged(shop, lane, shop.put(shop.event("a"), Carried(redrive=1)))

    assert decision is None
    assert delivery.carried.redrive == 1


def test_a_job_retried_in_place_goes_on_where_the_last_owner_left(shop: Shop) -> None:
    lane = shop.lane()
    due_ms = shop.clock.broker_ms() + 700
    lane.shard.merge([("a", Known(parked=(0, 0, 3, due_ms, 0, 0)))])

    delivery, decision = judged(shop, lane, shop.send("a"))

    assert decision is None
    assert delivery.carried.attempt == 3
    assert delivery.due_ms == shop.clock.monotonic_ms() + 700


def test_counted_deaths_go_with_the_job_to_its_next_owner(shop: Shop) -> None:
    lane = shop.lane()
    lane.shard.merge([("twice", Known(crashes=(0, 2))), ("thrice", Known(crashes=(0, 3)))])

    twice, goes_on = judged(shop, lane, shop.send("twice"))
    _, dies = judged(shop, lane, shop.send("thrice"))

    assert goes_on is None
    assert (twice.crashes, twice.in_child) == (2, True)
    assert isinstance(dies, DeadLetter)
    assert dies.carried.reason == "crashed_worker"


def test_suspects_run_in_children_after_the_pause_and_only_as_many_as_can_have_begun(
    shop: Shop,
) -> None:
    lane = shop.lane()
    lane.suspect_before, lane.suspects_left, lane.suspect_from_ms = 3, 2, 5_000

    found = shop.deliver(lane, *(shop.send(job_id) for job_id in "abcd"))

    assert [(d.in_child, d.due_ms) for d in found] == [
        (True, 5_000),
        (True, 5_000),
        (False, None),
        (False, None),
    ]
    assert lane.suspects_left == 0


def test_a_batch_that_passed_the_window_is_suspect_to_its_end(shop: Shop) -> None:
    lane = shop.lane()
    window = shop.arrival().window
    lane.suspect_before = window + 500

    suspects = 0
    while suspects < lane.suspect_before:
        lane.count_suspect(suspects)
        suspects += 1

    assert suspects == window + 500, "the last owner may have begun it"


def test_forgetting_a_lane_keeps_what_still_runs(shop: Shop) -> None:
    lane = shop.lane()
    runs, waits = shop.deliver(lane, shop.send("runs"), shop.send("waits"))
    shop.deliver(lane, shop.put(runs.value))
    runs.stage = HANDED
    assert shop.judge.waiting.of_id

    shop.judge.forget(lane)

    assert shop.judge.inflight == {"runs": runs}
    assert not shop.judge.waiting.of_id
    assert waits.id == "waits"
