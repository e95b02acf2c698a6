"""Who of a fleet left by itself: what a test did to a member is not its own leaving."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from tests.harness.fleet import Fleet

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
