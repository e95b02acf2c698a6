"""Type checkers accept what the documentation shows, and reject what would fail at run time.

In tests/typing/*.py a statement with the comment `# rejected` is wrong on purpose: mypy and pyright
must each find an error in it, and none anywhere else.
"""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from collections import defaultdict
from typing import TYPE_CHECKING, TypeAlias

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MARK = "# rejected"
Errors = dict[str, dict[int, str]]
Checker: TypeAlias = "Callable[[Path, Path], Errors]"


def mypy(folder: Path, root: Path) -> Errors:
    command = [sys.executable, "-m", "mypy", "--strict", "--output=json", "--exclude=^$"]
    config = ["--config-file=", "--explicit-package-bases"]
    ran = subprocess.run(
        [*command, *config, *map(str, sorted(folder.glob("*.py")))],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode in {0, 1}, ran.stderr
    errors: Errors = defaultdict(dict)
    for found in map(json.loads, ran.stdout.splitlines()):
        if found["severity"] == "error":
            errors[re.split(r"[/\\]", found["file"])[-1]][found["line"]] = found["message"]
    return errors


def pyright(folder: Path, root: Path) -> Errors:
    ran = subprocess.run(
        [sys.executable, "-m", "pyright", "--outputjson", "--pythonpath", sys.executable, folder],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode in {0, 1}, ran.stderr
    errors: Errors = defaultdict(dict)
    for found in json.loads(ran.stdout)["generalDiagnostics"]:
        if found["severity"] == "error":
            line = found["range"]["start"]["line"] + 1
            errors[re.split(r"[/\\]", found["file"])[-1]][line] = found["message"]
    return errors


def statements(path: Path) -> list[range]:
    """The lines of each simple statement; of a compound one (def, class, if), its head."""
    spans = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.stmt):
            body = getattr(node, "body", None)
            decorators = getattr(node, "decorator_list", [])
            start = min([node.lineno, *(d.lineno for d in decorators)])
            end = body[0].lineno if body else (node.end_lineno or node.lineno) + 1
            spans.append(range(start, max(end, start + 1)))
    return spans


def judge(path: Path, errors: dict[int, str]) -> list[str]:
    """What the checker got wrong, as sentences; empty if it agrees with the marks."""
    marked = {n for n, line in enumerate(path.read_text().splitlines(), 1) if MARK in line}
    spans = statements(path)

    def innermost(line: int) -> range:
        around = [span for span in spans if line in span]
        return min(around, key=len, default=range(line, line + 1))

    wanted = {innermost(line) for line in marked}
    found = {innermost(line): f"line {line}: {text}" for line, text in errors.items()}
    missed = [f"line {span.start}: accepted, marked {MARK!r}" for span in wanted - found.keys()]
    return missed + [text for span, text in found.items() if span not in wanted]


@pytest.mark.parametrize("checker", [mypy, pyright])
def test_checker_agrees_with_the_marks(
    checker: Checker, root: Path, subtests: pytest.Subtests
) -> None:
    folder = root / "tests" / "typing"
    files = sorted(folder.glob("*.py"))
    if files:
        errors = checker(folder, root)
        for path in files:
            with subtests.test(file=path.name):
                assert not judge(path, errors.get(path.name, {}))


@pytest.mark.parametrize("checker", [mypy, pyright])
def test_disagreement_is_seen(checker: Checker, root: Path, tmp_path: Path) -> None:
    path = tmp_path / "sample.py"
    path.write_text(
        "a: int = 'wrong and marked'  # rejected\n"
        "b: int = 'wrong, not marked'\n"
        "c: int = 3  # rejected\n"
        "d: int = len(\n    5,  # rejected\n)\n"
    )

    complaints = judge(path, checker(tmp_path, root)["sample.py"])

    assert [text.partition(":")[0] for text in sorted(complaints)] == ["line 2", "line 3"]
