"""The rooms of the house: no two things in them are called alike."""

from __future__ import annotations

import ast
import re
import sys
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = [
    path for name in ("schemas", "processors", "streams") for path in (ROOT / name).rglob("*.py")
]
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
