"""The pages hang together: links lead somewhere, every page can be found, samples run."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest

FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#{1,6} (.+)$", re.MULTILINE)
SAMPLE = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
TEST = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")
SHOWN = re.compile(r"^<!-- (examples/\S+) -->\n```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
MARKER = "# runs"
SAMPLE_SECONDS_MAX = 60


def prose(page: Path) -> str:
    return FENCE.sub("", page.read_text())


def links(page: Path) -> list[str]:
    return [link for link in LINK.findall(prose(page)) if not re.match(r"[a-z]+:", link)]


def anchors(page: Path) -> set[str]:
    """The fragments of a page, as GitHub makes them from headings."""
    plain = (re.sub(r"[^\w\- ]", "", title.lower()) for title in HEADING.findall(prose(page)))
    return {title.strip().replace(" ", "-") for title in plain}


def samples(page: Path) -> list[str]:
    return [code for code in SAMPLE.findall(page.read_text()) if MARKER in code]


def test_links_lead_somewhere(markdown_file: Path) -> None:
    for link in links(markdown_file):
        target, _, fragment = link.partition("#")
        page = (markdown_file.parent / target) if target else markdown_file
        assert page.exists(), f"{link} leads nowhere"
        assert not fragment or fragment in anchors(page), f"{link}: no such heading"


def test_the_index_lists_every_decision_in_its_order(root: Path) -> None:
    listed = [link for link in links(root / "docs" / "README.md") if link.startswith("adr/")]

    pages = sorted((root / "docs" / "adr").glob("[0-9]*.md"))
    assert listed == [f"adr/{page.name}" for page in pages]


def test_every_page_is_reached_from_the_index(root: Path) -> None:
    index = root / "docs" / "README.md"
    reached, waiting = set[Path](), [index]
    while waiting:
        page = waiting.pop()
        reached.add(page)
        targets = {(page.parent / link.partition("#")[0]).resolve() for link in links(page)}
        waiting += [t for t in targets if t.suffix == ".md" and t.exists() and t not in reached]

    lost = set((root / "docs").rglob("*.md")) - reached
    assert not lost, f"link these from docs/README.md or from a page it links: {lost}"


def test_every_test_that_a_page_names_is_there(markdown_file: Path, root: Path) -> None:
    for file, name in TEST.findall(markdown_file.read_text()):
        page = root / file
        assert page.exists(), f"{file} is not there"
        assert f"def {name}(" in page.read_text(), f"{file} has no {name}"


def test_a_page_shows_a_program_as_it_is(markdown_file: Path, root: Path) -> None:
    page = markdown_file.read_text()
    shown = SHOWN.findall(page)

    for name, code in shown:
        assert code == (root / name).read_text(), f"{name} differs from what the page shows"
    assert page.count("<!-- examples/") == len(shown), "a marker stands right above its program"


def test_every_program_of_a_framework_is_on_a_page(root: Path) -> None:
    pages = (root / "docs" / "how-to").glob("*.md")
    shown = {name for page in pages for name, _ in SHOWN.findall(page.read_text())}

    programs = {str(path.relative_to(root)) for path in (root / "examples" / "web").glob("*.py")}
    assert programs - shown == {"examples/web/__init__.py"}


def test_samples_run(root: Path, tmp_path: Path, subtests: pytest.Subtests) -> None:
    pages = [root / "README.md", *sorted((root / "docs").rglob("*.md"))]
    found = [(page, code) for page in pages for code in samples(page)]
    assert found, f"no python block of the docs carries the line {MARKER!r}"

    for page, code in found:
        with subtests.test(page=str(page.relative_to(root))):
            run_sample(code, tmp_path)


def run_sample(code: str, folder: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=folder,
        env={**os.environ, "JOBSTREAM_STATE_DIR": str(folder)},
        capture_output=True,
        text=True,
        timeout=SAMPLE_SECONDS_MAX,
        check=False,
    )
    assert ran.returncode == 0, f"{code}\n{ran.stderr}"
