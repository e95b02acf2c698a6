"""Nobody sleeps to wait: a worker waits on its broker, a test on a signal with a deadline."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

# Another process says nothing when it is ready; it can only be asked again.
MAY_SLEEP = {"streams/jobstream/broker"}
# A sleep that is the work of a job under test, not a wait for something, ends with this.
WORK = "# work"


def slept(call: ast.Call) -> str | None:
    """`time` or `asyncio` for a call that sleeps; giving way with `asyncio.sleep(0)` is none."""
    name = call.func
    if not (isinstance(name, ast.Attribute) and name.attr == "sleep"):
        return None
    gives_way = (
        bool(call.args) and isinstance(call.args[0], ast.Constant) and not call.args[0].value
    )
    module = name.value.id if isinstance(name.value, ast.Name) else None
    return module if module in {"time", "asyncio"} and not gives_way else None


def sleeps(path: Path, modules: set[str]) -> list[int]:
    text = path.read_text()
    lines = text.splitlines()
    calls = (node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call))
    found = (call.lineno for call in calls if slept(call) in modules)
    return [line for line in found if not lines[line - 1].rstrip().endswith(WORK)]


def imports_sleep(path: Path) -> list[int]:
    nodes = (n for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.ImportFrom))
    return [
        node.lineno
        for node in nodes
        if node.module in {"time", "asyncio"} and any(name.name == "sleep" for name in node.names)
    ]


def test_shipped_code_does_not_block_a_thread(shipped_file: Path, root: Path) -> None:
    if any(root / folder in shipped_file.parents for folder in MAY_SLEEP):
        return

    assert not sleeps(shipped_file, {"time"}), "wait on an event, a condition or the broker"


def test_tests_do_not_sleep(python_file: Path, root: Path) -> None:
    if root / "tests" not in python_file.parents or root / "tests" / "bench" in python_file.parents:
        return

    assert not sleeps(python_file, {"time", "asyncio"}), (
        f"wait on a signal with a deadline; a job's own work ends with {WORK!r}"
    )


def test_sleep_is_called_by_its_full_name(python_file: Path) -> None:
    assert not imports_sleep(python_file), "write time.sleep, so that the reader sees which"
