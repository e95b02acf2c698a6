"""The room of assignments knows only lower rooms."""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "processors" / "jobstream_processors"
ROOM = PACKAGE / "assignment"
BELOW = (
    "assignment",
    "core",
    "background",
    "errors",
    "meter",
    "ports",
    "queue_plan",
    "topic_marks",
    "turn_meter",
)


def imported(path: Path) -> set[str]:
    """The rooms of the package that a module imports from, for its types too."""
    found = [
        n.module for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.ImportFrom)
    ]
    return {name.split(".")[1] for name in found if name and name.startswith("jobstream_proc")}


def test_it_knows_only_lower_rooms() -> None:
    above = {path.name: imported(path) - set(BELOW) for path in ROOM.glob("*.py")}

    assert not {name: rooms for name, rooms in above.items() if rooms}
