"""docs/map.md shows the way that a plain job goes: its thirteen steps, and the files it enters."""

from __future__ import annotations

import ast
import inspect
import re
from typing import TYPE_CHECKING

from tests.harness.plain_job import lines_of, way_of_a_plain_job

from jobstream_processors.engine.way import Way

if TYPE_CHECKING:
    from pathlib import Path

ROW = re.compile(r"^\| (\d+) \|(.+)\|$", re.MULTILINE)
STEP = re.compile(r"\b(\d+) ([a-z]+)\b")
STEPS_LINES_MAX = 30
WAY_FILES_MAX = 20
WAY_LINES_MAX = 4_500
EDGES = {
    "streams/jobstream/kafka/produce/producer.py",
    "streams/jobstream/kafka/consume/source.py",
    "streams/jobstream/dedup/shard.py",
    "streams/jobstream/kafka/produce/sink.py",
    "streams/jobstream/kafka/produce/done_rows.py",
}
"""What has stand-ins where a job runs in memory, and is entered where it runs on Kafka."""
FILE = re.compile(r"`([\w./-]+/[\w.-]+\.\w+)`")


def test_the_steps_are_thirteen(root: Path) -> None:
    page = (root / "docs" / "map.md").read_text()

    assert [int(number) for number, _ in ROW.findall(page)] == list(range(1, 14))


def test_each_step_names_files_that_exist(root: Path) -> None:
    page = (root / "docs" / "map.md").read_text()

    for number, row in ROW.findall(page):
        files = FILE.findall(row)
        missing = [name for name in files if not (root / name).is_file()]
        assert files, f"step {number} names no file"
        assert not missing, f"step {number} names files that are gone: {missing}"


def test_every_file_named_on_the_page_exists(root: Path) -> None:
    named = FILE.findall((root / "docs" / "map.md").read_text())

    assert not [name for name in named if not (root / name).is_file()]


def test_the_steps_stand_one_under_the_other_in_the_code(root: Path) -> None:
    source = inspect.getsource(Way.carry)
    comments = [line.partition("#")[2] for line in source.splitlines()]
    steps = [(int(number), word) for line in comments for number, word in STEP.findall(line)]
    rows = ROW.findall((root / "docs" / "map.md").read_text())

    assert steps == [(int(number), re.findall("[a-z]+", row)[0]) for number, row in rows]
    assert len(source.splitlines()) <= STEPS_LINES_MAX


def test_a_plain_job_enters_the_files_that_the_map_shows(root: Path) -> None:
    rows = ROW.findall((root / "docs" / "map.md").read_text())
    shown = {name for _, row in rows for name in FILE.findall(row.split("|")[1])}
    entered = set(way_of_a_plain_job())

    assert shown - EDGES == entered
    assert shown >= EDGES


def test_the_way_of_a_plain_job_is_short() -> None:
    entered = way_of_a_plain_job()

    assert len(entered) <= WAY_FILES_MAX
    assert sum(map(lines_of, entered)) <= WAY_LINES_MAX


STARTS_THREADS = {"in_background", "aside", "ThreadPoolExecutor", "Thread", "Served", "SelfServed"}
IMPURE = {"asyncio", "logging", "random", "socket", "subprocess", "threading", "time"}


def names_of_threads(path: Path) -> set[str]:
    """What a module calls the threads that it starts, up to a number or a queue's name."""
    calls = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
    return {
        text.value
        for call in calls
        if ast.unparse(call.func).split(".")[-1] in STARTS_THREADS
        for given in (*call.args, *(keyword.value for keyword in call.keywords))
        for text in ast.walk(given)
        if isinstance(text, ast.Constant) and isinstance(text.value, str)
        if text.value.startswith("jobstream-")
    }


def test_every_thread_is_named_on_the_page(shipped_file: Path, root: Path) -> None:
    page = (root / "docs" / "map.md").read_text()

    assert not [name for name in names_of_threads(shipped_file) if f"`{name}" not in page]


def imported_at_run_time(node: ast.AST) -> set[str]:
    found = set()
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
            continue
        if isinstance(child, ast.Import):
            found |= {alias.name for alias in child.names}
        elif isinstance(child, ast.ImportFrom):
            found.add(child.module or "")
        found |= imported_at_run_time(child)
    return {name.split(".")[0] for name in found}


def test_what_is_called_pure_reads_no_clock_and_starts_no_thread(root: Path) -> None:
    rows = ROW.findall((root / "docs" / "map.md").read_text())
    pure = {
        name
        for _, row in rows
        if row.split("|")[-1].strip() == "pure"
        for name in FILE.findall(row)
    }
    parsed = {name: ast.parse((root / name).read_text()) for name in pure}

    assert len(pure) > 10
    assert not {
        name: found for name, t in parsed.items() if (found := imported_at_run_time(t) & IMPURE)
    }
