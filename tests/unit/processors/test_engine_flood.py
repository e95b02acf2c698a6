"""The flood guard in the engine: holds what did not start, probes, and opens again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobstream_processors.core.flood import PAUSE_MS_FIRST, FloodGuard
from jobstream_processors.core.outcome import Buried, Cancelled, Raised

if TYPE_CHECKING:
    import pytest
    from tests.unit.processors.conftest import Works

    from jobstream_processors.core.outcome import Outcome
    from jobstream_processors.lane import Lane

DEAD = Buried("dead_by_handler", "gone")
LIMIT = 3


def flooded(works: Works, *rest: str) -> Lane:
    """A lane held after LIMIT deaths, `rest` waiting for slots at that moment."""
    lane = works.lane()
    lane.flood = FloodGuard(LIMIT)
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
    assert [d.id for d in lane.held] == ["a", "b"]
    assert "flood_guard_closed" in caplog.messages
    # The dead ones are settled all the same.
    assert lane.watermark.position == LIMIT


def test_what_arrives_while_held_lines_up_behind(works: Works) -> None:
    lane = flooded(works, "a")

    works.accept(lane, works.shop.send("b"))
    works.pass_ms(PAUSE_MS_FIRST - 1)

    assert [d.id for d in lane.held] == ["a", "b"]
    assert works.hand.hosted == {}


def test_after_the_pause_one_job_is_let_through_and_its_life_opens_the_rest(works: Works) -> None:
    lane = flooded(works, "a", "b", "c")

    works.pass_ms(PAUSE_MS_FIRST)
    works.pass_ms(PAUSE_MS_FIRST)
    assert list(works.hand.hosted) == ["a"]

    works.end("a")
    assert list(works.hand.hosted) == ["b", "c"]
    assert lane.flood.is_open
    assert not lane.held


def test_a_probe_that_dies_doubles_the_pause(works: Works) -> None:
    lane = flooded(works, "a", "b")
    works.pass_ms(PAUSE_MS_FIRST)

    works.end("a", DEAD)
    works.pass_ms(2 * PAUSE_MS_FIRST - 1)
    assert works.hand.hosted == {}
    works.pass_ms(1)

    assert list(works.hand.hosted) == ["b"]
    assert [d.id for d in lane.held] == []


def test_a_job_that_climbs_or_is_cancelled_breaks_the_row_of_deaths(works: Works) -> None:
    lane = works.lane()
    lane.flood = FloodGuard(LIMIT)
    works.accept(lane, *(works.shop.send(job_id) for job_id in "abcdefg"))
    failed = Raised("builtins.OSError", "no", ("builtins.OSError",))

    outcomes: list[Outcome] = [DEAD, DEAD, failed, DEAD, DEAD, Cancelled("no"), DEAD]
    for job_id, outcome in zip("abcdefg", outcomes, strict=True):
        works.end(job_id, outcome)

    assert lane.flood.is_open
    assert lane.flood.deaths == 1


def test_garbage_says_nothing_about_handlers(works: Works) -> None:
    lane = works.lane()
    lane.flood = FloodGuard(LIMIT)

    works.accept(lane, *(works.shop.put(b"garbage %d" % number) for number in range(LIMIT + 1)))
    works.accept(lane, works.shop.send("a"))
    works.settle()

    assert lane.flood.deaths == 0
    assert list(works.hand.hosted) == ["a"]
    assert len(works.shop.letters()) == LIMIT + 1


def test_held_jobs_of_a_lane_that_drains_are_left_to_the_next_owner(works: Works) -> None:
    lane = flooded(works, "a", "b")

    works.engine.drain(lane)
    works.pass_ms(PAUSE_MS_FIRST)

    assert works.engine.is_drained(lane)
    assert works.hand.hosted == {}
    assert lane.watermark.position == LIMIT


def test_a_flood_in_one_partition_holds_no_other(works: Works) -> None:
    flooded(works, "a")
    other = works.lane(1)

    works.accept(other, works.shop.put(works.shop.event("b"), partition=1))

    assert list(works.hand.hosted) == ["b"]
