"""Lower rooms of the worker know nothing of higher ones, imports for type checkers counted."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PACKAGE = "jobstream_processors"
ROLES = {"worker", "assembly", "loop_driver"}
MAY_NOT_KNOW = {
    "core": {"assignment", "engine", "execute", "settle", "delay", "watch", "delivery", "ports"},
    "settle": {"engine", "execute", "delay", "watch"},
    "delay": {"engine", "execute", "watch"},
}
"""The rooms and files that a room does without; a role that joins the parts knows them all."""


def known_by(path: Path) -> Iterator[str]:
    """The rooms, or files beside them, that a module imports of this package."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(f"{PACKAGE}."):
            yield (node.module or "").split(".")[1]


@pytest.mark.parametrize("room", MAY_NOT_KNOW)
def test_a_room_knows_no_higher_one(root: Path, room: str) -> None:
    beyond = MAY_NOT_KNOW[room] | ROLES
    files = (root / "processors" / PACKAGE / room).rglob("*.py")

    found = {path.name: known for path in files if (known := beyond & {*known_by(path)})}

    assert not found, "move what they need down, or hand it in"


def test_the_core_knows_itself_and_the_errors_alone(root: Path) -> None:
    files = (root / "processors" / PACKAGE / "core").rglob("*.py")

    assert {room for path in files for room in known_by(path)} <= {"core", "errors"}


def test_only_those_who_join_a_worker_know_the_watching_room(root: Path) -> None:
    rooms = (root / "processors" / PACKAGE).rglob("*.py")

    below = (path for path in rooms if path.parent.name != "watch")
    found = {path.stem for path in below if "watch" in known_by(path)}

    assert found <= ROLES, "hand the hook down as a callable, or as a protocol of the lower room"
