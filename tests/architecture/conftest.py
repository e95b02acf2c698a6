"""What the architecture tests look at: the files of the repository, each one a test case.

A test that asks for `shipped_file`, `python_file`, `markdown_file` or `text_file` runs once per
file. Nothing here judges a file.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
SOURCE_ROOTS = ("schemas", "processors", "streams")
# Written by machines (`.git` is a file in a second working tree), or by the licence's author.
NOT_OURS = {".git", "requirements.lock", "LICENSE"}
GENERATED_FOLDERS = {"__pycache__", "build", "dist", "node_modules"}


def repository_files() -> Iterator[Path]:
    for folder, folders, files in os.walk(ROOT):
        folders[:] = sorted(
            name
            for name in folders
            if name == ".ci" or not (name.startswith(".") or name in GENERATED_FOLDERS)
        )
        yield from (Path(folder, name) for name in sorted(files) if name not in NOT_OURS)


def is_text(path: Path) -> bool:
    try:
        path.read_bytes().decode()
    except UnicodeDecodeError:
        return False
    return True


def cases(kind: str) -> list[Path]:
    files = list(repository_files())
    match kind:
        case "shipped_file":
            roots = [ROOT / name for name in SOURCE_ROOTS]
            return [f for f in files if f.suffix == ".py" and any(r in f.parents for r in roots)]
        case "python_file":
            # Examples keep files that are no valid Python, as input.
            return [f for f in files if f.suffix == ".py" and "broken" not in f.parts]
        case "markdown_file":
            return [f for f in files if f.suffix == ".md"]
        case _:
            return [f for f in files if f.suffix != ".pyc" and is_text(f)]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    for kind in ("shipped_file", "python_file", "markdown_file", "text_file"):
        if kind in metafunc.fixturenames:
            found = cases(kind)
            metafunc.parametrize(kind, found, ids=[str(f.relative_to(ROOT)) for f in found])


@pytest.fixture(scope="session")
def root() -> Path:
    """The folder of the repository."""
    return ROOT
