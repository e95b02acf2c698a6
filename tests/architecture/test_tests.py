"""Where tests lie: those of a room in a folder of its name, and what only they use beside them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

OTHERS = {
    "schemas": "the package of that name",
    "worker": "what stands in no room of the worker",
    "grafana": "the boards and alerts",
    "stack": "the containers",
}
SHOWN = {".py", ".md"}
OF_TESTS = re.compile(r"^\s*(from|import) tests\b", re.MULTILINE)


def rooms(root: Path) -> set[str]:
    packages = root / "streams" / "jobstream", root / "processors" / "jobstream_processors"
    return {each.parent.name for package in packages for each in package.glob("*/__init__.py")}


def test_each_folder_of_unit_tests_is_a_room(root: Path) -> None:
    folders = {each.parent.name for each in (root / "tests" / "unit").glob("*/*.py")}

    assert folders - rooms(root) == OTHERS.keys()


def test_no_file_that_users_get_or_read_imports_the_tests(root: Path) -> None:
    names = ("schemas", "processors", "streams", "examples", "docs")
    files = [file for name in names for file in (root / name).rglob("*") if file.suffix in SHOWN]

    assert not [file for file in files if OF_TESTS.search(file.read_text(errors="replace"))]
