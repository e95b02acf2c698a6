"""Files, functions and nesting stay small enough to read in one go."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FILE_LINES_MAX = 400
FUNCTION_LINES_MAX = 70
NESTING_MAX = 4

Function = ast.FunctionDef | ast.AsyncFunctionDef
BLOCKS = (ast.If, ast.For, ast.AsyncFor, ast.While, ast.With, ast.AsyncWith, ast.Try, ast.Match)


def functions(tree: ast.Module) -> Iterator[Function]:
    return (node for node in ast.walk(tree) if isinstance(node, Function))


def nesting(node: ast.AST, *, is_elif: bool = False) -> int:
    """How many blocks lie in one another; `elif` is no deeper than its `if`."""
    own = int(isinstance(node, BLOCKS) and not is_elif)
    chained = node.orelse if isinstance(node, ast.If) and len(node.orelse) == 1 else []
    children = (
        nesting(child, is_elif=child in chained and isinstance(child, ast.If))
        for child in ast.iter_child_nodes(node)
        if not isinstance(child, (*Function.__args__, ast.ClassDef))
    )
    return own + max(children, default=0)


def test_file_is_short(python_file: Path) -> None:
    lines = len(python_file.read_text().splitlines())

    assert lines <= FILE_LINES_MAX, f"{lines} lines: split it by idea"


def test_functions_are_short(python_file: Path) -> None:
    tree = ast.parse(python_file.read_text())

    lengths = {f.name: (f.end_lineno or f.lineno) - f.lineno + 1 for f in functions(tree)}
    long = {name: lines for name, lines in lengths.items() if lines > FUNCTION_LINES_MAX}
    assert not long, f"longer than {FUNCTION_LINES_MAX} lines: {long}"


def test_functions_are_flat(python_file: Path) -> None:
    tree = ast.parse(python_file.read_text())

    deep = {f.name: nesting(f) for f in functions(tree) if nesting(f) > NESTING_MAX}
    assert not deep, f"nested deeper than {NESTING_MAX}: {deep}"
