"""The flood guard in the engine: holds what did not start, probes, and opens again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from jobstream_processors.core.deaths import FLOOD, PAUSE_MS_FIRST
from jobstream_processors.core.orders import PAUSE_TYPE
from jobstream_processors.core.outcome import (
    DONE,
    UNDECODABLE,
    Again,
    Cancelled,
    Crashed,
    DeclaredDead,
    Expired,
    Raised,
)
from jobstream_processors.engine.waiting import UNANNOUNCED

if TYPE_CHECKING:
    from tests.unit.shop import Works

    from jobstream_processors.assignment.lane import Lane
    from jobstream_processors.core.outcome import Outcome

FAILED = Raised("builtins.OSError", "no", ("builtins.OSError",))
DEAD = DeclaredDead("dead_by_handler", "gone")
LIMIT = 3


def flooded(works: Works, *rest: str) -> Lane:
    """A lane held after LIMIT deaths, `rest` waiting for slots at that moment."""
    lane = works.lane()
    works.floods.limit = LIMIT
    works.hand.slots = LIMIT
    dying = [f"dies{number}" for number in range(LIMIT)]
    works.accept(lane, *(works.shop.send(job_id) for job_id in (*dying, *rest)))
    for job_id in dying:
        works.end(job_id, DEAD)
    works.settle()
    return lane


def test_deaths_in_a_row_hold_what_did_not_start(
    works: Works, caplog: pytest.LogCaptureFixture
) -> None:
    lane = flooded(works, "a", "b")

    assert works.hand.waiting == []
    assert list(works.kept(lane)) == ["a", "b"]
    assert "flood_guard_closed" in caplog.messages
    # The dead ones are settled all the same.
    assert lane.watermark.position == LIMIT


def test_what_arrives_while_held_lines_up_behind(works: Works) -> None:
    lane = flooded(works, "a")

    works.accept(lane, works.shop.send("b"))
    works.pass_ms(PAUSE_MS_FIRST - 1)

    assert list(works.kept(lane)) == ["a", "b"]
    assert works.hand.hosted == {}


def test_after_the_pause_one_job_is_let_through_and_its_life_opens_the_rest(works: Works) -> None:
    lane = flooded(works, "a", "b", "c")

    works.pass_ms(PAUSE_MS_FIRST)
    works.pass_ms(PAUSE_MS_FIRST)
    assert list(works.hand.hosted) == ["a"]

    works.end("a")
    assert list(works.hand.hosted) == ["b", "c"]
    assert not lane.shut
    assert not works.kept(lane)


def test_a_probe_that_dies_doubles_the_pause(works: Works) -> None:
    lane = flooded(works, "a", "b")
    works.pass_ms(PAUSE_MS_FIRST)

    works.end("a", DEAD)
    works.pass_ms(2 * PAUSE_MS_FIRST - 1)
    assert works.hand.hosted == {}
    works.pass_ms(1)

    assert list(works.hand.hosted) == ["b"]
    assert list(works.kept(lane)) == []


@pytest.mark.parametrize(
    "wanted", [DONE, Cancelled("no"), Again(5_000, uses_attempt=False, reason="later")]
)
def test_an_end_that_the_handler_wanted_breaks_the_row_of_deaths(
    works: Works, wanted: Outcome
) -> None:
    lane = works.lane()
    works.floods.limit = LIMIT
    works.accept(lane, *(works.shop.send(job_id) for job_id in "abcdef"))

    for job_id, outcome in zip("abcde", [DEAD, DEAD, wanted, DEAD, DEAD], strict=True):
        works.end(job_id, outcome)

    assert not lane.shut
    works.end("f", DEAD)
    assert lane.shut == (FLOOD,)


UNPROVED = {
    "it will be retried": FAILED,
    "its child died once": Crashed("killed by signal 9"),
    "its args can't be read": DeclaredDead(UNDECODABLE, "no"),
    "it expired": Expired(),
}


@pytest.mark.parametrize("outcome", UNPROVED.values(), ids=UNPROVED.keys())
def test_a_row_of_deaths_is_not_broken_by_what_says_nothing(works: Works, outcome: Outcome) -> None:
    lane = works.lane()
    works.floods.limit = LIMIT
    works.accept(lane, *(works.shop.send(job_id) for job_id in "abcd"))

    for job_id, ended in zip("abcd", [DEAD, outcome, DEAD, DEAD], strict=True):
        works.end(job_id, ended)

    assert FLOOD in lane.shut


@pytest.mark.parametrize("outcome", UNPROVED.values(), ids=UNPROVED.keys())
def test_a_probe_that_says_nothing_makes_way_for_the_next(works: Works, outcome: Outcome) -> None:
    lane = flooded(works, "a", "b", "c")
    works.pass_ms(PAUSE_MS_FIRST)

    works.end("a", outcome)
    works.settle()
    assert FLOOD in lane.shut
    if outcome is FAILED or isinstance(outcome, Crashed):
        # It used an attempt: no more often than the guard tries at all.
        works.pass_ms(PAUSE_MS_FIRST - 1)
        assert works.hand.hosted == {}
    works.pass_ms(1)

    assert list(works.hand.hosted) == ["b"]


def test_what_began_before_the_guard_closed_is_no_probe(works: Works) -> None:
    lane = works.lane()
    works.floods.limit = LIMIT
    dying = [f"dies{number}" for number in range(LIMIT)]
    works.accept(lane, *(works.shop.send(job_id) for job_id in (*dying, "old", "older")))
    for job_id in dying:
        works.end(job_id, DEAD)
    works.accept(lane, *(works.shop.send(job_id) for job_id in "ab"))
    works.pass_ms(PAUSE_MS_FIRST)

    works.end("old", FAILED)
    works.end("older", DeclaredDead(UNDECODABLE, "no"))
    works.pass_ms(PAUSE_MS_FIRST)

    assert list(works.hand.hosted) == ["a"]


def test_a_crashed_probe_runs_again_behind_the_guard_in_its_turn(works: Works) -> None:
    lane = flooded(works, "a", "b")
    works.pass_ms(PAUSE_MS_FIRST)
    works.end("a", Crashed("killed by signal 9"))
    works.settle()
    works.pass_ms(PAUSE_MS_FIRST)
    assert list(works.hand.hosted) == ["b"]
    assert list(works.kept(lane)) == ["a"]

    works.end("b")

    assert works.child.started == ["a"]


def test_a_probe_that_is_taken_back_before_it_began_is_made_anew(works: Works) -> None:
    lane = flooded(works, "a", "b")
    works.hand.slots = 0
    works.pass_ms(PAUSE_MS_FIRST)
    assert [d.id for d in works.hand.waiting] == ["a"]

    works.order((PAUSE_TYPE, "other"))
    works.hand.slots = LIMIT
    works.order()
    works.pass_ms(0)

    assert FLOOD in lane.shut
    assert list(works.hand.hosted) == ["a"]


def test_a_probe_that_no_mirror_announced_yet_is_made_anew(works: Works) -> None:
    # Given a flood whose probe waits for its announcement
    lane = flooded(works, "a", "b")
    lane.limit(LIMIT)
    works.pass_ms(PAUSE_MS_FIRST)
    assert works.kept(lane) == {"a": UNANNOUNCED, "b": FLOOD}

    # When it is taken back, since nothing begins for a while
    works.engine.tick(silent=True)
    works.engine.tick()
    works.engine.widen([(lane, LIMIT + 2)])
    works.pass_ms(0)

    # Then the guard still lets one through
    assert list(works.hand.hosted) == ["a"]


def test_another_job_opens_the_guard_while_its_probe_waits_for_a_slot(works: Works) -> None:
    # Given a job that began before the flood, and a probe that waits for its slot
    lane = works.lane()
    works.floods.limit = LIMIT
    dying = [f"dies{number}" for number in range(LIMIT)]
    works.accept(lane, *(works.shop.send(job_id) for job_id in (*dying, "old")))
    for job_id in dying:
        works.end(job_id, DEAD)
    works.hand.slots = 0
    works.accept(lane, *(works.shop.send(job_id) for job_id in "ab"))
    works.pass_ms(PAUSE_MS_FIRST)
    assert [d.id for d in works.hand.waiting] == ["a"]

    # When the old one ends well, then the guard is open
    works.hand.slots = LIMIT
    works.end("old")

    assert not lane.shut
    assert list(works.hand.hosted) == ["a", "b"]


def test_garbage_says_nothing_about_handlers(works: Works) -> None:
    lane = works.lane()
    works.floods.limit = LIMIT

    works.accept(lane, *(works.shop.put(b"garbage %d" % number) for number in range(LIMIT + 1)))
    works.accept(lane, works.shop.send("a"))
    works.settle()

    assert not lane.shut
    assert list(works.hand.hosted) == ["a"]
    assert len(works.shop.letters()) == LIMIT + 1


def test_held_jobs_of_a_lane_that_drains_are_left_to_the_next_owner(works: Works) -> None:
    lane = flooded(works, "a", "b")

    works.engine.drain(lane)
    works.pass_ms(PAUSE_MS_FIRST)

    assert works.engine.under_way([lane]) == []
    assert works.hand.hosted == {}
    assert lane.watermark.position == LIMIT


def test_a_flood_in_one_partition_holds_no_other(works: Works) -> None:
    flooded(works, "a")
    other = works.lane(1)

    works.accept(other, works.shop.put(works.shop.event("b"), partition=1))

    assert list(works.hand.hosted) == ["b"]
