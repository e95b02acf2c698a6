"""Finds the input: every Python file of the running interpreter's standard library, and ours.

It only lists files. Some are no valid Python: the standard library keeps such files to test its own
parser, and `broken/` adds a few kinds of its own.
"""

from __future__ import annotations

import sysconfig
from dataclasses import dataclass
from pathlib import Path

TOP = "(top level)"
BROKEN = Path(__file__).with_name("broken")
_NOT_STANDARD = {"site-packages", "dist-packages", "__pycache__"}


@dataclass(frozen=True, slots=True)
class Source:
    """One file to index."""

    path: str
    module: str
    package: str


def find_sources(limit: int | None = None) -> list[Source]:
    """All files, by path; with `limit`, about that many, spread evenly, and ours in any case."""
    library = Path(sysconfig.get_path("stdlib"))
    found = [_source(path, library) for path in sorted(library.rglob("*.py")) if _is_ours(path)]
    step = max(1, len(found) // limit) if limit else 1
    return found[::step] + [_source(path, BROKEN.parent) for path in sorted(BROKEN.glob("*.py"))]


def _is_ours(path: Path) -> bool:
    return not _NOT_STANDARD.intersection(path.parts) and path.is_file()


def _source(path: Path, root: Path) -> Source:
    parts = path.relative_to(root).with_suffix("").parts
    package = ".".join(parts[:-1]) or TOP
    module = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
    return Source(str(path), module, package)
