"""Threads of ours are started in one way, so that the end of each is heard."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

HERE = "processors/jobstream_processors/background.py"
# What our tests and users' tests run, and threads of handlers, which report each run themselves.
MAY_START = ("streams/jobstream/testing/", "processors/jobstream_processors/execute/")


def started(path: Path) -> list[int]:
    """Lines that make a thread by hand."""
    return [
        node.lineno
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute | ast.Name)
        and (node.func.attr if isinstance(node.func, ast.Attribute) else node.func.id) == "Thread"
    ]


def test_threads_are_started_in_one_place(shipped_file: Path, root: Path) -> None:
    place = shipped_file.relative_to(root).as_posix()
    if place == HERE or place.startswith(MAY_START):
        return

    assert not started(shipped_file), f"use in_background of {HERE}"


POOLS = {"to_thread", "run_in_executor"}


def test_nothing_of_ours_waits_for_the_pool_of_a_loop(shipped_file: Path) -> None:
    tree = ast.parse(shipped_file.read_text())
    found = [n.lineno for n in ast.walk(tree) if isinstance(n, ast.Attribute) and n.attr in POOLS]

    assert not found, f"handlers may fill it: use aside of {HERE}"


def test_that_place_starts_them(root: Path) -> None:
    assert started(root / HERE)
