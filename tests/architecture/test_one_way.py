"""What must be done with care is done in one place, and the others call it."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ROOTS = ("schemas", "processors", "streams", "tests/harness", "examples/shop", "examples/web")
STREAMS = ROOT / "streams" / "jobstream"
MODULES = [path for root in ROOTS for path in sorted((ROOT / root).rglob("*.py"))]
SHIPPED = [path for path in MODULES if path.relative_to(ROOT).parts[0] in ROOTS]


@cache
def nodes(path: Path) -> list[ast.AST]:
    return [*ast.walk(ast.parse(path.read_text()))]


def shown(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def called(path: Path) -> set[str]:
    """The names of what a module calls: `f` of `f()` and of `a.f()`, and `a.f` of the latter."""
    found = set()
    for node in nodes(path):
        if isinstance(node, ast.Call):
            text = ast.unparse(node.func)
            found |= {text, text.rpartition(".")[2]}
    return found


def named(path: Path) -> set[str]:
    return {n.attr for n in nodes(path) if isinstance(n, ast.Attribute)}


def imported(path: Path) -> set[str]:
    """The modules that a module imports, for its types too."""
    found = set()
    for node in nodes(path):
        if isinstance(node, ast.ImportFrom):
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return found


@pytest.mark.parametrize(
    ("call", "places"),
    [
        (
            "os._exit",
            {
                "processors/jobstream_processors/forked.py",  # a fork's end
                "processors/jobstream_processors/execute/leash.py",  # before anything has begun
                "streams/jobstream/broker/keeper.py",  # a program of its own
                "streams/jobstream/cli/first_process.py",  # process 1, which loads nothing else
                "streams/jobstream/exits.py",
                "streams/jobstream/roles/stop_signals.py",  # inside a handler of a signal
            },
        ),
        # An embedded broker is asked by a client with options of nobody.
        ("AdminClient", {"streams/jobstream/broker/ready.py"}),
        ("Consumer", set()),
        ("Producer", set()),
    ],
)
def test_only_these_call(call: str, places: set[str]) -> None:
    assert {shown(path) for path in SHIPPED if call in called(path)} == places


def test_one_module_asks_for_a_signal_at_the_death_of_a_parent() -> None:
    found = {shown(path) for path in MODULES if "prctl" in named(path)}

    assert found == {"processors/jobstream_processors/execute/leash.py"}


@pytest.mark.parametrize("room", ["kafka", "topics"])
def test_lower_rooms_know_nothing_of_those_above(room: str) -> None:
    above = ("app", "canary", "cli", "control", "job", "observe", "operate", "roles", "testing")
    for path in sorted((STREAMS / room).rglob("*.py")):
        rooms = {name.split(".")[1] for name in imported(path) if name.startswith("jobstream.")}
        assert not rooms & set(above), shown(path)


def test_topics_are_decided_without_a_broker() -> None:
    for path in sorted((STREAMS / "topics").glob("*.py")):
        used = {name for name in imported(path) if "kafka" in name}
        assert not used or path.stem == "apply", shown(path)
