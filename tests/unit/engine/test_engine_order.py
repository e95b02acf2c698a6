"""Order keys in the engine: who has one, when it is freed, and who comes next."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from jobstream_processors.core.decide import UNSTARTED_MAX
from jobstream_processors.core.outcome import Again, Cancelled, Crashed, Raised, TimedOut, Unstarted
from jobstream_processors.core.retry import Backoff

if TYPE_CHECKING:
    from tests.unit.shop import Works

    from jobstream_processors.core.outcome import Outcome

FAILED = Raised("builtins.OSError", "no", ("builtins.OSError",))
NO_PROCESS = Unstarted(
    "child_not_started", "the process ended before the handler: killed by signal 9"
)


@pytest.fixture
def held(works: Works) -> Works:
    """With a job type `held` that holds its key while it is retried."""
    backoff = Backoff(attempts=3, first="2s", factor=1, jitter=False)
    works.shop.handle("held", backoff=backoff, holds_key=True)
    return works


def test_jobs_of_a_key_run_one_at_a_time_in_queue_order(works: Works) -> None:
    lane, shop = works.lane(), works.shop
    works.accept(lane, *(shop.send(job_id, key="k") for job_id in "abc"), shop.send("x", key="l"))

    assert works.hand.started == ["a", "x"]
    works.end("a")
    assert works.hand.started == ["a", "x", "b"]
    works.end("b")
    assert works.hand.started == ["a", "x", "b", "c"]


@pytest.mark.parametrize("outcome", [FAILED, Cancelled("no"), TimedOut(5)])
def test_the_key_is_free_when_the_handler_ends_before_anything_is_settled(
    works: Works, outcome: Outcome
) -> None:
    lane, shop = works.lane(), works.shop
    works.accept(lane, *(shop.send(job_id, key="k") for job_id in "ab"))

    works.end("a", outcome)

    assert works.hand.started == ["a", "b"]
    assert lane.watermark.position == 0


def test_a_held_key_is_free_only_when_the_offset_is_finished(held: Works) -> None:
    lane, shop = held.lane(), held.shop
    held.accept(lane, *(shop.send(job_id, "held", key="k") for job_id in "ab"))

    held.end("a")
    held.engine.flush()
    assert held.hand.started == ["a"]

    held.settle()
    assert held.hand.started == ["a", "b"]
    assert lane.watermark.position == 1


def test_a_held_key_stays_while_the_row_is_not_acknowledged(held: Works) -> None:
    lane, shop = held.lane(), held.shop
    held.accept(lane, *(shop.send(job_id, "held", key="k") for job_id in "ab"))
    shop.broker.fail_publishes(1, fate="absent")

    held.end("a")
    held.settle()
    assert held.hand.started == ["a"]
    assert lane.watermark.position == 0

    held.settle()
    assert held.hand.started == ["a", "b"]


def test_a_failed_job_that_holds_its_key_runs_again_in_place_before_the_next(held: Works) -> None:
    lane, shop = held.lane(), held.shop
    held.accept(lane, *(shop.send(job_id, "held", key="k") for job_id in "ab"))

    # When it fails, then it waits for its row and for its time, and the next waits for it
    held.end("a", FAILED)
    held.pass_ms(2_000)
    assert held.hand.started == ["a"]
    held.settle()
    held.pass_ms(1_999)
    assert held.hand.started == ["a"]
    held.pass_ms(1)
    assert held.hand.started == ["a", "a"]
    assert held.hand.hosted["a"].carried.attempt == 2
    assert shop.told() == [("parked", "a", "")]

    # And when it ends, the next one runs
    held.end("a")
    held.settle()
    assert held.hand.started == ["a", "a", "b"]


def test_attempts_in_place_end_in_a_dead_letter_and_free_the_key(held: Works) -> None:
    lane, shop = held.lane(), held.shop
    held.accept(lane, *(shop.send(job_id, "held", key="k") for job_id in "ab"))
    first_ms = shop.clock.broker_ms()

    for _ in range(2):
        held.end("a", FAILED)
        held.settle()
        held.pass_ms(2_000)
    held.end("a", FAILED)
    held.settle()

    assert held.hand.started == ["a", "a", "a", "b"]
    headers = shop.letters()["a:0"]
    assert headers["js-reason"] == b"attempts_exhausted"
    assert headers["js-attempt"] == b"3"
    assert headers["js-first-failed-ms"] == b"%d" % first_ms


def test_a_crashed_job_keeps_its_key_until_it_ran_in_a_child(works: Works) -> None:
    works.shop.handle("heavy", executor="process")
    lane, shop = works.lane(), works.shop
    works.accept(lane, *(shop.send(job_id, "heavy", key="k") for job_id in "ab"))
    assert works.child.started == ["a"]

    works.end("a", Crashed("killed by signal 9"))
    works.settle()
    works.pass_ms(999)
    assert works.child.started == ["a"]
    works.pass_ms(1)

    assert works.child.started == ["a", "a"]
    assert works.child.hosted["a"].crashes == 1
    works.end("a")
    assert works.child.started == ["a", "a", "b"]


def test_three_counted_deaths_end_a_job_and_free_its_key(works: Works) -> None:
    works.shop.handle("heavy", executor="process")
    lane, shop = works.lane(), works.shop
    works.accept(lane, *(shop.send(job_id, "heavy", key="k") for job_id in "ab"))

    for _ in range(3):
        works.end("a", Crashed("killed by signal 9"))
        works.settle()
        works.pass_ms(10_000)

    assert works.child.started == ["a", "a", "a", "b"]
    assert [row.kind for row in shop.rows()] == ["crash", "crash", "job"]
    assert shop.letters()["a:0"]["js-reason"] == b"crashed_worker"
    assert lane.watermark.position == 1


def test_a_job_that_no_process_could_begin_is_begun_again_uncounted(
    works: Works,
) -> None:
    works.shop.handle("heavy", executor="process")
    lane, shop = works.lane(), works.shop
    works.accept(lane, *(shop.send(job_id, "heavy", key="k") for job_id in "ab"))

    for pause_ms in (1_000, 2_000):
        works.end("a", NO_PROCESS)
        works.settle()
        works.pass_ms(pause_ms - 1)
        assert works.child.started[-1:] == ["a"]
        begun = len(works.child.started)
        works.pass_ms(1)
        assert len(works.child.started) == begun + 1

    assert shop.rows() == []
    assert (works.child.hosted["a"].carried.attempt, works.child.hosted["a"].crashes) == (1, 0)
    works.end("a")
    works.settle()
    assert works.child.started == ["a", "a", "a", "b"]
    assert shop.told() == [("job", "a", "done")]


def test_a_job_that_no_process_can_begin_is_a_dead_letter_in_the_end(works: Works) -> None:
    works.shop.handle("heavy", executor="process")
    lane, shop = works.lane(), works.shop
    works.accept(lane, shop.send("a", "heavy"))

    for _ in range(UNSTARTED_MAX):
        works.end("a", NO_PROCESS)
        works.settle()
        works.pass_ms(600_000)

    assert works.child.started == ["a"] * UNSTARTED_MAX
    letter = shop.letters()["a:0"]
    assert letter["js-reason"] == b"child_not_started"
    assert letter["js-message"] == b"the process ended before the handler: killed by signal 9"


def test_a_handler_past_its_limit_keeps_the_key_until_it_stops(works: Works) -> None:
    lane, shop = works.lane(), works.shop
    works.accept(lane, *(shop.send(job_id, key="k") for job_id in "ab"))

    late = works.end("a", TimedOut(30_000), running=True)
    works.settle()
    assert works.hand.started == ["a"]
    assert lane.watermark.position == 1

    works.engine.returned(late)
    assert works.hand.started == ["a", "b"]


def test_a_late_handler_that_holds_its_key_runs_again_only_after_it_stopped(held: Works) -> None:
    lane, shop = held.lane(), held.shop
    held.accept(lane, *(shop.send(job_id, "held", key="k") for job_id in "ab"))

    late = held.end("a", TimedOut(30_000), running=True)
    held.settle()
    held.pass_ms(60_000)
    assert held.hand.started == ["a"]

    del held.hand.hosted["a"]
    held.engine.returned(late)
    held.pass_ms(1)
    assert held.hand.started == ["a", "a"]


def test_a_wait_in_place_longer_than_the_window_is_cut_and_told(
    held: Works, caplog: pytest.LogCaptureFixture
) -> None:
    lane, shop = held.lane(), held.shop
    held.accept(lane, shop.send("a", "held", key="k"))

    held.end("a", Again(shop.plan.window_ms + 1, uses_attempt=True, reason="later"))
    held.settle()

    assert "delay_cut_to_window" in caplog.messages
    (row,) = shop.rows()
    assert row.due == shop.clock.broker_ms() + shop.plan.window_ms
    held.pass_ms(shop.plan.window_ms)
    assert held.hand.started == ["a", "a"]


def test_snoozes_in_place_are_counted_over_owners(held: Works) -> None:
    lane, shop = held.lane(), held.shop
    record = shop.send("a", "held", key="k")
    held.accept(lane, record)
    held.end("a", Again(1_000, uses_attempt=False, reason="later"))
    held.settle()
    held.engine.end(lane)

    heir = held.lane()
    heir.shard = lane.shard
    held.accept(heir, record)
    held.pass_ms(1_000)
    held.end("a", Again(1_000, uses_attempt=False, reason="later"))
    held.settle()

    assert [row.detail for row in shop.rows()] == ["1:0", "2:0"]
