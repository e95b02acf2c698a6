"""What pages and messages tell to type for an install works in every shell, and today."""

from __future__ import annotations

import re
import shutil
import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

BLOCK = re.compile(r"^```(?:sh)?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
MAKE = re.compile(r"^make (\w[\w-]*)", re.MULTILINE)
# An extra in brackets is a pattern of file names to zsh, which then finds none and refuses.
UNQUOTED = re.compile(r"pip install [^\n'\"`]*\[")
INSTALLS = re.compile(r"^pip install (.*)", re.MULTILINE)


def test_extras_are_quoted(markdown_file: Path) -> None:
    assert not UNQUOTED.findall(markdown_file.read_text())


def test_extras_are_quoted_in_messages(shipped_file: Path) -> None:
    assert not UNQUOTED.findall(shipped_file.read_text())


def test_unquoted_extras_are_found() -> None:
    assert UNQUOTED.search("pip install jobstream[dev]")
    assert UNQUOTED.search("pip install -q .[dev]")
    assert not UNQUOTED.search("pip install 'jobstream[dev]'")
    assert not UNQUOTED.search("pip install hatchling` and jobstream[dev]")


def test_the_readme_installs_from_the_clone_before_anything_else_is_typed(root: Path) -> None:
    blocks = BLOCK.findall((root / "README.md").read_text())

    assert INSTALLS.findall(blocks[0]) == ["'.[dev]'    # in the clone"]
    assert not [line for block in blocks[1:] for line in INSTALLS.findall(block)]


def test_what_make_is_asked_for_can_be_made(markdown_file: Path, root: Path) -> None:
    blocks, make = BLOCK.findall(markdown_file.read_text()), str(shutil.which("make"))
    for target in {name for block in blocks for name in MAKE.findall(block)}:
        ran = subprocess.run(
            [make, "--dry-run", target], cwd=root, capture_output=True, text=True, check=False
        )
        assert ran.returncode == 0, f"make {target}: {ran.stderr}"
