"""The repository speaks of the product alone, on any machine, and in words that name who acts."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import click
import pytest

from jobstream.cli.root import root as cli

if TYPE_CHECKING:
    from collections.abc import Iterator
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

# In help texts and on pages: words that leave open who does what.
UNCLEAR = {
    "name the reader, the worker or the program": r"(?i)\bwh[o]ever\b",
    "say what does not happen, or which part does not act": r"(?i)\bn[o]body\b",
    "say which command shows it, or which part learns of it": r"(?i)\bt[o]ld\b",
    "repeat the words": r"(?i)\bl[i]kewise\b",
    "say between two scans": r"(?i)\bl[o]ok to look\b",
    "say typing error": r"(?i)\bslip of the p[e]n\b",
}
# Where they may stand, and why.
LEFT_AS_THEY_ARE = {
    "docs/adr/": "a decision is kept as it was taken",
    "docs/map.md": "it speaks as the modules do that it maps",
    "docs/tutorial/first-app.md": "the address without an @ in its example is such a word",
}


def found_in(text: str, words: dict[str, str] = FORBIDDEN) -> list[str]:
    return [
        f"line {number}: {what}: {line.strip()}"
        for number, line in enumerate(text.splitlines(), 1)
        for what, pattern in words.items()
        if re.search(pattern, line)
    ]


def commands(command: click.Command, path: str) -> Iterator[tuple[str, click.Command]]:
    """The command and all below it, each with the words that call it."""
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            assert found is not None
            yield from commands(found, f"{path} {name}")


def test_file_speaks_of_the_product_alone(text_file: Path) -> None:
    assert not found_in(text_file.read_text())


def test_page_says_who_does_what(markdown_file: Path, root: Path) -> None:
    name = markdown_file.relative_to(root).as_posix()
    is_page = name == "README.md" or name.startswith("docs/")
    if is_page and not name.startswith(tuple(LEFT_AS_THEY_ARE)):
        assert not found_in(markdown_file.read_text(), UNCLEAR)


def test_every_help_text_says_who_does_what_and_no_option_is_without() -> None:
    for path, command in commands(cli, "jobstream"):
        options = [each for each in command.params if isinstance(each, click.Option)]
        texts = {each.opts[0]: each.help or "" for each in options if not each.hidden}
        texts["itself"] = command.help or ""
        for name, text in texts.items():
            assert re.match(r"[A-Z`].*[.\]]\Z", text.strip(), re.DOTALL), f"{path} {name}: {text!r}"
            assert not found_in(text, UNCLEAR), f"{path} {name}"


PATTERNS = FORBIDDEN | UNCLEAR


@pytest.mark.parametrize("pattern", PATTERNS.values(), ids=PATTERNS.keys())
def test_pattern_does_not_match_itself(pattern: str) -> None:
    assert not re.search(pattern, pattern)
