"""No two modules need each other, whatever an import is for: a reader can begin at the bottom.

Imports for type checkers count, and those inside functions.
"""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = (
    ROOT / "streams/jobstream",
    ROOT / "processors/jobstream_processors",
    ROOT / "schemas/jobstream_schemas",
)
Graph = dict[str, set[str]]


def name_of(path: Path, package: Path) -> str:
    parts = [package.name, *path.relative_to(package).with_suffix("").parts]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports_of(tree: ast.Module, modules: set[str]) -> set[str]:
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name if name in modules else str(node.module) for name in names}
    return found & modules


def shipped() -> Graph:
    files = {name_of(f, package): f for package in PACKAGES for f in package.rglob("*.py")}
    modules = set(files)
    trees = {name: ast.parse(path.read_text()) for name, path in files.items()}
    return {name: imports_of(tree, modules) - {name} for name, tree in trees.items()}


def circles(graph: Graph) -> list[list[str]]:
    """Each set of modules that lead to one another."""
    reach = {name: set(leads) for name, leads in graph.items()}
    for through in graph:
        for name, reached in reach.items():
            if through in reached:
                reach[name] |= reach[through]
    of_circles = {name for name, reached in reach.items() if name in reached}
    found = {frozenset(n for n in reach[name] if name in reach[n]) for name in of_circles}
    return sorted(sorted(circle) for circle in found)


def test_the_look_finds_a_circle() -> None:
    graph = {"a": {"b"}, "b": {"c", "d"}, "c": {"a"}, "d": set(), "e": {"a"}}

    assert circles(graph) == [["a", "b", "c"]]


def test_no_modules_import_each_other() -> None:
    assert circles(shipped()) == []
