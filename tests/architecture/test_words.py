"""The repository speaks of the product alone, on any machine."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

# Each pattern is written so that it does not match itself.
FORBIDDEN = {
    "a ticket number": r"(?<![\w&#/])#\d+\b(?!\w)",
    "the name of a work package": r"\bsp[i]ne\b",
    "the number of a rule nobody here can look up": r"(?i)\blaws? \d",
    "a section nobody here can look up": r"(?i)\bdesign(\.md)? §|§ ?\d",
    "a folder of one machine": r"(?<![\w.])/(wor[k]|roo[t]|hom[e]/\w+|opt/j[s])/",
    "a package index": r"py[p]i\.org|pythonh[o]sted|registry\.npm[j]s|maven\.[o]rg|[d]ocker\.io",
    "work left over": r"\b(TO[D]O|FIX[M]E|XX[X]|HAC[K])\b",
    "a placeholder": r"(?i)\bplacehold[e]r docstring",
}


def found_in(text: str) -> list[str]:
    return [
        f"line {number}: {what}: {line.strip()}"
        for number, line in enumerate(text.splitlines(), 1)
        for what, pattern in FORBIDDEN.items()
        if re.search(pattern, line)
    ]


def test_file_speaks_of_the_product_alone(text_file: Path) -> None:
    assert not found_in(text_file.read_text())


@pytest.mark.parametrize("pattern", FORBIDDEN.values(), ids=FORBIDDEN.keys())
def test_pattern_does_not_match_itself(pattern: str) -> None:
    assert not re.search(pattern, pattern)
