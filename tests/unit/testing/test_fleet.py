"""Who of a fleet left by itself: what a test did to a member is not its own leaving."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from tests.harness.fleet import LOST_MS, STOOD_STILL, Fleet

if TYPE_CHECKING:
    from pathlib import Path


def fleet_of(code: str, folder: Path) -> Fleet:
    return Fleet([sys.executable, "-c", code], folder)


def test_a_member_that_fails_by_itself_has_left(tmp_path: Path) -> None:
    with fleet_of("raise SystemExit(3)", tmp_path) as fleet:
        member = fleet.start()
        member.wait()

        assert fleet.left == [member]


def test_who_was_told_to_go_or_was_hit_has_not_left(tmp_path: Path) -> None:
    with fleet_of("import sys; sys.stdin.read()", tmp_path) as fleet:
        fleet.start().wait()
        assert fleet.left == []

    with fleet_of("raise SystemExit(3)", tmp_path) as fleet:
        fleet.died(fleet.start())
        assert fleet.left == []


def test_who_was_held_up_has_left_and_lost_what_it_ran(tmp_path: Path) -> None:
    said = f"2026-01-01 00:00:00,000 ERROR trial worker ended\n{STOOD_STILL} 3500 ms"

    with fleet_of(f"print({said!r}); raise SystemExit(3)", tmp_path) as fleet:
        member = fleet.start()
        member.wait()

        assert (member.left_held_up, member.left_unanswered) == (True, False)
        first, *_, last = member.losses()
        assert {kill.pid for kill in member.losses()} == {member.pid}
        assert last.at_ms - first.at_ms >= LOST_MS


def test_who_ended_for_another_reason_lost_nothing(tmp_path: Path) -> None:
    said = "2026-01-01 00:00:00,000 ERROR trial worker ended\nno such topic"

    with fleet_of(f"print({said!r}); raise SystemExit(3)", tmp_path) as fleet:
        member = fleet.start()
        member.wait()

        assert (member.left_held_up, member.losses()) == (False, [])
