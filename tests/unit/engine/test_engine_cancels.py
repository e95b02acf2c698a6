"""Operators' cancels in the engine: wherever a job is, and whatever it races with."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from jobstream_processors.core.deaths import PAUSE_MS_FIRST
from jobstream_processors.core.headers import Carried
from jobstream_processors.core.orders import CANCEL, PAUSE_QUEUE, PAUSE_TYPE
from jobstream_processors.core.outcome import (
    DONE,
    Crashed,
    DeclaredDead,
    Interrupted,
    Raised,
    TimedOut,
)
from jobstream_schemas import decode_row

if TYPE_CHECKING:
    from tests.unit.shop import Works

    from jobstream_processors.core.outcome import Outcome

FAILED = Raised("builtins.OSError", "no", ("builtins.OSError",))
DEAD = DeclaredDead("dead_by_handler", "gone")


def cancelled(works: Works, job_id: str) -> bool:
    """Whether its one terminal row says cancelled, by whom and why."""
    found = [row for row in works.shop.rows() if row.id == job_id and row.kind == "job"]
    return [(r.state, r.detail) for r in found] == [("cancelled", "by ann@laptop: deploy")]


def test_a_cancelled_job_is_never_started_and_its_offset_is_finished(works: Works) -> None:
    lane, shop = works.lane(), works.shop
    works.order((CANCEL, "a"))

    works.accept(lane, shop.send("a"), shop.send("b"))
    works.settle()

    assert works.hand.started == ["b"]
    assert cancelled(works, "a")
    assert lane.watermark.position == 1


@pytest.mark.parametrize("where", ["slot", "paused", "aside", "flood", "key", "place"])
def test_a_job_that_waits_here_ends_at_once(works: Works, where: str) -> None:
    lane, shop = works.lane(), works.shop
    job = "held" if where == "place" else "send"
    if where == "slot":
        works.hand.slots = 0
    kept = {"paused": [(PAUSE_QUEUE, "mail")], "aside": [(PAUSE_TYPE, "send")]}.get(where, [])
    works.order(*kept)
    if where == "flood":
        works.floods.limit = 1
        works.accept(lane, shop.send("dies"))
        works.end("dies", DEAD)
        works.settle()
    if where == "key":
        works.accept(lane, shop.send("before", key="k"))
    works.accept(lane, shop.send("a", job, key="k"), shop.send("after", job, key="k"))
    if where == "place":
        works.end("a", FAILED)
        works.settle()

    works.order(*kept, (CANCEL, "a"))
    works.settle()

    assert cancelled(works, "a")
    if where == "key":
        works.end("before")
    works.hand.slots = 9
    works.order()
    waiting, works.hand.waiting = works.hand.waiting, []
    for delivery in waiting:
        works.hand.submit(delivery)
    works.pass_ms(60_000)
    if where != "flood":
        assert works.hand.started[-1] == "after", "the key went on to the next job"
    assert works.hand.started.count("a") == (1 if where == "place" else 0)


@pytest.mark.parametrize("outcome", [FAILED, TimedOut(5), Crashed("killed"), DEAD])
def test_a_run_that_gives_way_ends_as_cancelled(works: Works, outcome: Outcome) -> None:
    lane, shop = works.lane(), works.shop
    works.accept(lane, shop.send("a", key="k"), shop.send("b", key="k"))

    works.order((CANCEL, "a"))
    works.order((CANCEL, "a"), (CANCEL, "c"))
    assert works.hand.stopped == ["a"]
    works.end("a", outcome)
    works.settle()

    assert cancelled(works, "a")
    assert shop.letters() == {}
    assert works.hand.started == ["a", "b"]


def test_a_run_that_returns_all_the_same_is_done(works: Works) -> None:
    lane, shop = works.lane(), works.shop
    works.accept(lane, shop.send("a"))
    works.order((CANCEL, "a"))

    works.end("a", DONE)
    works.settle()

    assert shop.told() == [("job", "a", "done")]


def test_a_cancel_that_comes_after_the_end_changes_nothing(works: Works) -> None:
    lane, shop = works.lane(), works.shop
    works.accept(lane, shop.send("a"))
    works.end("a", DONE)

    works.order((CANCEL, "a"))
    works.settle()
    works.accept(lane, shop.put(shop.event("a")))
    works.settle()

    assert shop.told() == [("job", "a", "done")]
    assert lane.watermark.position == 2


def test_a_run_of_a_worker_that_leaves_settles_nothing_though_cancelled(works: Works) -> None:
    lane, shop = works.lane(), works.shop
    works.accept(lane, shop.send("a"))
    works.order((CANCEL, "a"))

    works.end("a", Interrupted())
    works.settle()

    assert shop.rows() == []
    assert lane.watermark.position == 0


def test_a_retry_that_was_decided_before_the_cancel_is_cancelled_when_it_comes(
    works: Works,
) -> None:
    lane, shop = works.lane(), works.shop
    works.accept(lane, shop.send("a"))
    works.end("a", FAILED)
    works.order((CANCEL, "a"))
    works.settle()
    assert [row.kind for row in shop.rows()] == ["moved"]

    works.accept(lane, shop.put(shop.event("a"), Carried(seq=1, attempt=2)))
    works.settle()

    assert cancelled(works, "a")
    assert works.hand.started == ["a"]


def test_a_retry_in_place_that_was_decided_before_the_cancel_runs_no_more(works: Works) -> None:
    lane, shop = works.lane(), works.shop
    works.accept(lane, shop.send("a", "held", key="k"), shop.send("b", "held", key="k"))
    works.end("a", FAILED)
    works.order((CANCEL, "a"))

    works.settle()
    works.settle()
    works.pass_ms(60_000)

    assert cancelled(works, "a")
    assert works.hand.started == ["a", "b"]


def test_a_thread_past_its_limit_whose_retry_waits_is_cancelled_and_keeps_its_key(
    works: Works,
) -> None:
    lane, shop = works.lane(), works.shop
    works.accept(lane, shop.send("a", "held", key="k"), shop.send("b", "held", key="k"))
    delivery = works.end("a", TimedOut(5), running=True)
    works.settle()

    works.order((CANCEL, "a"))
    works.settle()

    assert cancelled(works, "a")
    assert works.hand.started == ["a"], "its thread still runs"
    works.engine.returned(delivery)
    assert works.hand.started == ["a", "b"]


def test_a_redriven_job_is_cancelled_in_its_redrive_and_can_be_redriven_again(
    works: Works,
) -> None:
    lane, shop = works.lane(), works.shop
    works.accept(lane, shop.send("a"))
    works.end("a", DEAD)
    works.settle()
    works.order((CANCEL, "a"))

    works.accept(lane, shop.put(shop.event("a"), Carried(redrive=1)))
    works.settle()
    works.order()
    works.accept(lane, shop.put(shop.event("a"), Carried(redrive=1)))
    works.settle()
    assert works.hand.started == ["a"], "the row absorbs what is of its redrive"

    works.accept(lane, shop.put(shop.event("a"), Carried(redrive=2)))
    works.end("a")
    works.settle()
    ends = [(r.state, r.redrive) for r in shop.rows() if r.kind == "job"]
    assert ends == [("dead", 0), ("cancelled", 1), ("done", 2)]


def test_a_second_delivery_that_waits_for_the_first_is_judged_by_the_orders(works: Works) -> None:
    lane, shop = works.lane(), works.shop
    works.accept(lane, shop.send("a"), shop.put(shop.event("a"), Carried(redrive=1)))
    works.order((CANCEL, "a"))

    works.end("a", FAILED)
    works.settle()
    works.settle()

    assert works.hand.started == ["a"]
    ends = [(r.state, r.redrive) for r in shop.rows() if r.kind == "job"]
    assert ends == [("cancelled", 0), ("cancelled", 1)]


def test_a_cancelled_job_of_an_unknown_type_ends_instead_of_waiting(works: Works) -> None:
    lane, shop = works.lane(), works.shop
    record = shop.send("a", "other")
    del shop.specs["other"]
    works.order((CANCEL, "a"))

    works.accept(lane, record)
    works.settle()

    assert cancelled(works, "a")


def test_another_job_that_took_a_cancelled_id_is_a_dead_letter_as_ever(works: Works) -> None:
    lane, shop = works.lane(), works.shop
    works.order((CANCEL, "a"))
    works.accept(lane, shop.send("a"))
    works.settle()

    works.accept(lane, shop.put(shop.event("a", to="bob")))
    works.settle()

    (letter,) = shop.letters().values()
    assert letter["js-reason"] == b"id_conflict"


def test_a_probe_that_is_cancelled_does_not_hold_the_partition_for_ever(works: Works) -> None:
    lane, shop = works.lane(), works.shop
    works.floods.limit = 1
    works.accept(lane, shop.send("dies"))
    works.end("dies", DEAD)
    works.settle()
    works.accept(lane, shop.send("probe"), shop.send("next"))
    works.pass_ms(PAUSE_MS_FIRST)
    assert works.hand.started == ["dies", "probe"]

    works.order((CANCEL, "probe"))
    works.end("probe", FAILED)
    works.pass_ms(0)

    assert works.hand.started == ["dies", "probe", "next"]


def test_a_cancelled_job_does_not_free_the_key_that_another_holds(works: Works) -> None:
    lane, shop = works.lane(), works.shop
    works.order((CANCEL, "b"))
    works.accept(lane, *(shop.send(job_id, "held", key="k") for job_id in ("a", "b")))
    works.settle()
    assert cancelled(works, "b")

    works.accept(lane, shop.send("c", "held", key="k"))
    assert works.hand.started == ["a"]
    works.end("a")
    works.settle()
    assert works.hand.started == ["a", "c"]


def test_an_id_that_nobody_has_is_harmless(works: Works) -> None:
    works.lane()

    works.order((CANCEL, "nobody"))

    assert works.decided == []


def test_the_details_of_a_cancel_are_in_its_row(works: Works) -> None:
    works.order((CANCEL, "a"))
    works.accept(works.lane(), works.shop.send("a"))
    works.settle()

    (record,) = works.shop.broker.records(works.shop.plan.dedup)
    assert decode_row(record.value() or b"").detail == "by ann@laptop: deploy"
