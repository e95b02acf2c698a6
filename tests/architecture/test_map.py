"""docs/map.md leads to real files: thirteen steps, each with the files that take it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

ROW = re.compile(r"^\| (\d+) \|(.+)\|$", re.MULTILINE)
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
