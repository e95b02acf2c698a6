"""Names say what a thing is: no drawer for odds and ends, no topic spelled outside one module."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DRAWERS = re.compile(r"util|common|helper|manager|misc", re.IGNORECASE)
TOPIC = re.compile(r"\.retry\.|\.dlq(?![\w-])|\.dedup(?![\w-])|\.(offsets|schemas|control)$")


def docstrings(tree: ast.Module) -> set[int]:
    """The nodes that are text for readers, bare strings under an attribute among them."""
    return {id(n.value) for n in ast.walk(tree) if isinstance(n, ast.Expr)}


def literals(tree: ast.Module) -> Iterator[tuple[int, str]]:
    prose = docstrings(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in prose:
            yield node.lineno, node.value


def test_file_is_no_drawer(shipped_file: Path) -> None:
    assert not DRAWERS.search(shipped_file.stem), "name it after the idea it holds"


def test_classes_are_named_after_things(shipped_file: Path) -> None:
    tree = ast.parse(shipped_file.read_text())

    classes = [n.name for n in ast.walk(tree) if isinstance(n, ast.ClassDef)]
    assert not [name for name in classes if DRAWERS.search(name)]


def test_topic_names_are_made_in_one_module(shipped_file: Path) -> None:
    if shipped_file.parts[-2:] == ("topics", "names.py"):
        return
    tree = ast.parse(shipped_file.read_text())

    spelled = [(line, text) for line, text in literals(tree) if TOPIC.search(text)]
    assert not spelled, "ask topics/names.py for the name"


def test_what_we_log_is_not_kept_back_as_the_client_library_is(shipped_file: Path) -> None:
    """Its log shows a text once in a while, and ours differ in their fields alone."""
    if shipped_file.name != "client_log.py":
        assert 'getLogger("jobstream.client")' not in shipped_file.read_text()
