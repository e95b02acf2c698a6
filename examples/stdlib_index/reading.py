"""Reads Python source: which functions and classes it defines and what it imports. Pure."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

FUNCTION, CLASS, IMPORT = "function", "class", "import"


@dataclass(frozen=True, slots=True)
class Fact:
    """One name that a module defines or imports."""

    kind: str
    name: str
    line: int


@dataclass(frozen=True, slots=True)
class Reading:
    """What one module holds."""

    lines: int
    facts: tuple[Fact, ...]


def read(source: bytes, path: str) -> Reading:
    """Parse `source`; raises SyntaxError or ValueError if it is no valid Python."""
    facts = tuple(fact for node in ast.walk(ast.parse(source, path)) for fact in _facts(node))
    return Reading(source.count(b"\n"), facts)


def _facts(node: ast.AST) -> Iterator[Fact]:
    match node:
        case ast.FunctionDef() | ast.AsyncFunctionDef():
            yield Fact(FUNCTION, node.name, node.lineno)
        case ast.ClassDef():
            yield Fact(CLASS, node.name, node.lineno)
        case ast.Import():
            yield from (Fact(IMPORT, alias.name, node.lineno) for alias in node.names)
        case ast.ImportFrom():
            yield Fact(IMPORT, "." * node.level + (node.module or ""), node.lineno)
