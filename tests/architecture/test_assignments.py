"""The room of assignments: it knows only lower rooms, and nobody else writes what it keeps."""

from __future__ import annotations

import ast
from pathlib import Path

from jobstream_processors.assignment.lane import Arrival, Assigned, Lane

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "processors" / "jobstream_processors"
ROOM = PACKAGE / "assignment"
LINES_MAX = 300
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
FIELDS = {*Assigned.__slots__, *Arrival.__slots__, *Lane.__slots__}


def imported(path: Path) -> set[str]:
    """The rooms of the package that a module imports from, for its types too."""
    found = [
        n.module for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.ImportFrom)
    ]
    return {name.split(".")[1] for name in found if name and name.startswith("jobstream_proc")}


def written(path: Path) -> list[str]:
    """What a module assigns of lanes, as far as they are called so."""
    return [
        f"{path.relative_to(ROOT)}:{node.lineno} {ast.unparse(node)}"
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store)
        if node.attr in FIELDS and ast.unparse(node.value).split(".")[-1] in {"lane", "arrival"}
    ]


def test_it_knows_only_lower_rooms() -> None:
    above = {path.name: imported(path) - set(BELOW) for path in ROOM.glob("*.py")}

    assert not {name: rooms for name, rooms in above.items() if rooms}


def test_nobody_else_writes_a_field_of_a_lane() -> None:
    others = [path for path in ROOT.glob("*/jobstream*/**/*.py") if ROOM not in path.parents]

    assert [line for path in others for line in written(path)] == []


def test_its_files_are_short() -> None:
    lines = {path.name: len(path.read_text().splitlines()) for path in ROOM.glob("*.py")}

    assert not {name: count for name, count in lines.items() if count > LINES_MAX}
