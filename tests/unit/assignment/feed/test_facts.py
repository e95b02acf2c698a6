"""What the feed tells those who look from outside: restoring, pauses, what is taken up."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobstream_processors.assignment.pressure import Limits

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.unit.assignment.feed.conftest import Desk


def test_a_partition_whose_table_is_not_there_yet_is_not_serving(
    new_desk: Callable[..., Desk],
) -> None:
    desk = new_desk(ready=False).turns()

    assert [facts.serving for facts in desk.facts()] == [False, False]
    assert [facts.rows for facts in desk.facts()] == [0, 0]

    lane = desk.to_prepare[0]
    desk.restore(lane, 0)
    desk.turns()
    assert {f.source: f.serving for f in desk.facts()} == {
        desk.place(0): True,
        desk.place(1): False,
    }


def test_what_is_taken_up_what_is_paused_and_what_is_finished_above(
    new_desk: Callable[..., Desk],
) -> None:
    desk = new_desk(Limits(window=4))
    desk.fill(6)
    desk.turns()

    full = next(facts for facts in desk.facts() if facts.source == desk.place())
    assert (full.unfinished, full.gap, full.paused) == (6, 0, ("window",))

    desk.finish(1, 2, 4)
    ahead = next(facts for facts in desk.facts() if facts.source == desk.place())
    assert (ahead.unfinished, ahead.gap) == (3, 3)


def test_changes_of_assignment_are_counted_in_the_turn(new_desk: Callable[..., Desk]) -> None:
    desk = new_desk().turns()
    turn = desk.feed._turn  # noqa: SLF001 - the meter of a feed that nobody gave one
    assert turn.changes == {"assigned": 1, "revoked": 0, "lost": 0}

    desk.feed.close()

    assert turn.changes["revoked"] >= 1
    assert turn.phase == ""


def test_a_partition_that_is_refused_is_not_restoring_and_is_given_back_at_once(
    new_desk: Callable[..., Desk],
) -> None:
    desk = new_desk(ready=False).turns()
    refused, restored = desk.to_prepare
    refused.refuse("retention")
    desk.restore(restored, 0)
    desk.turns()

    facts = {each.source: each for each in desk.facts()}
    assert facts[refused.source].paused == ("not_in_log",)
    assert [each.restoring for each in facts.values()] == [False, False]
    assert [each.serving for each in facts.values()].count(True) == 1
    desk.feed.close()

    assert desk.waits == 0, "nobody waited for its table"
