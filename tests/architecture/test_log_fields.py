"""No line of the log asks for a field that the logging library has taken, which would raise."""

from __future__ import annotations

import ast
import logging
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TAKEN = {*vars(logging.makeLogRecord({})), "message", "asctime"}


def extras(tree: ast.AST) -> Iterator[ast.expr]:
    """What is given as `extra`, or kept under that name."""
    for node in ast.walk(tree):
        if isinstance(node, ast.keyword) and node.arg == "extra":
            yield node.value
        elif isinstance(node, ast.Assign):
            named = [each.id for each in node.targets if isinstance(each, ast.Name)]
            if "extra" in named:
                yield node.value


def taken(tree: ast.AST) -> list[tuple[int, str]]:
    """(line, field) of each that may not be asked for."""
    return [
        (key.lineno, key.value)
        for extra in extras(tree)
        for node in ast.walk(extra)
        if isinstance(node, ast.Dict)
        for key in node.keys
        if isinstance(key, ast.Constant) and key.value in TAKEN
    ]


def test_no_line_asks_for_a_field_that_is_taken(shipped_file: Path) -> None:
    assert not taken(ast.parse(shipped_file.read_text()))


@pytest.mark.parametrize(
    "line", ['log.error("e", extra={"thread": 1} | more)', 'extra = {"of": 1, "name": 2}']
)
def test_one_that_does_is_found(line: str) -> None:
    assert taken(ast.parse(line))
