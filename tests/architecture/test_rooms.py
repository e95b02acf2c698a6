"""The rooms of the house: what a room owns, how big it may get, and what its modules are called."""

from __future__ import annotations

import ast
import re
import sys
from collections import defaultdict
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
WORKER = ROOT / "processors" / "jobstream_processors"
SHIPPED = [
    path for name in ("schemas", "processors", "streams") for path in (ROOT / name).rglob("*.py")
]
CENTRAL = [
    *(WORKER / name for name in ("worker.py", "assembly.py", "delivery.py")),
    *(
        path
        for room in ("engine", "assignment", "settle")
        for path in (WORKER / room).rglob("*.py")
    ),
]
CENTRAL_LINES_MAX = 300
"""Short of the limit for others, so that the next feature finds room."""
LANES = WORKER / "assignment"
OWNERS = {
    "lane": (LANES / "lane.py", {"Assigned", "Lane"}, (LANES,)),
    "arrival": (LANES / "lane.py", {"Assigned", "Arrival"}, (LANES,)),
    "delivery": (
        WORKER / "delivery.py",
        {"Delivery"},
        (WORKER / "delivery.py", WORKER / "engine"),
    ),
}
"""What such a variable holds, by its classes, and the rooms that may write its fields."""
NOT_OURS = {"offset"}  # A TopicPartition of the client library has one, too.
ENDINGS = re.compile(r"(ments?|ings?|ers?|ors?|ed|es|s|e)$")


def shown(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def of_one_command(path: Path) -> bool:
    """A command's module is named like the command, and errors are always in `errors.py`."""
    return path.parent.name == "commands" or path.stem == "errors" or path.stem.startswith("__")


def stem(name: str) -> str:
    return ENDINGS.sub("", name) if len(name) > 4 else name


def names_twice(found: dict[str, list[str]]) -> dict[str, list[str]]:
    return {name: places for name, places in found.items() if len(places) > 1}


@pytest.mark.parametrize("path", CENTRAL, ids=shown)
def test_a_central_room_has_room_for_the_next_feature(path: Path) -> None:
    lines = len(path.read_text().splitlines())

    assert lines <= CENTRAL_LINES_MAX, f"{lines} lines: split it by idea"


def test_no_two_modules_share_a_stem() -> None:
    found = defaultdict(list)
    for path in SHIPPED:
        if not of_one_command(path):
            found[stem(path.stem)].append(shown(path))

    assert not names_twice(found), "a reader cannot tell them apart: name each by its idea"


def test_no_two_public_classes_share_a_name() -> None:
    found = defaultdict(list)
    for path in SHIPPED:
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                found[node.name].append(shown(path))

    assert not names_twice(found)


def test_no_module_is_called_like_one_of_the_standard_library() -> None:
    rooms = {part for path in SHIPPED for part in (*path.relative_to(ROOT).parts[2:-1], path.stem)}

    assert not {name for name in rooms if not name.startswith("_")} & sys.stdlib_module_names


def fields(name: str) -> set[str]:
    """The annotated fields of those classes, and what their `__init__` sets."""
    place, classes, _ = OWNERS[name]
    found = set()
    for node in ast.walk(parsed(place)):
        if isinstance(node, ast.ClassDef) and node.name in classes:
            declared = [each.target for each in node.body if isinstance(each, ast.AnnAssign)]
            found |= {each.id for each in declared if isinstance(each, ast.Name)}
            found |= {each.attr for each in written(node) if on_self(each)}
    return found


def written(tree: ast.AST) -> list[ast.Attribute]:
    """Attributes that are set or deleted."""
    attributes = [node for node in ast.walk(tree) if isinstance(node, ast.Attribute)]
    return [node for node in attributes if isinstance(node.ctx, ast.Store | ast.Del)]


def on_self(node: ast.Attribute) -> bool:
    return isinstance(node.value, ast.Name) and node.value.id == "self"


def fields_of_others(name: str) -> set[str]:
    """What other classes set on themselves."""
    return {
        node.attr
        for path in SHIPPED
        for found in ast.walk(parsed(path))
        if isinstance(found, ast.ClassDef) and found.name not in OWNERS[name][1]
        for node in written(found)
        if on_self(node)
    }


@pytest.mark.parametrize("name", OWNERS)
def test_a_room_alone_writes_what_it_owns(name: str) -> None:
    """Known by the field, where no other class has one of that name, or by the variable's name."""
    owned, rooms, shared = fields(name), OWNERS[name][2], fields_of_others(name)
    assert len(owned) > 5, "its classes have fields"
    found = [
        f"{shown(path)}:{node.lineno} .{node.attr}"
        for path in SHIPPED
        if not any(room == path or room in path.parents for room in rooms)
        for node in written(parsed(path))
        if node.attr in owned - NOT_OURS and not on_self(node)
        if node.attr not in shared or name in ast.unparse(node.value).lower()
    ]

    assert not found, f"give the {name} a verb for it"
