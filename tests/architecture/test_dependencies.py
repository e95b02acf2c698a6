"""The lock pins everything by hash and names no host; each direct dependency has its reason."""

from __future__ import annotations

import re
import tomllib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

REQUIREMENT = re.compile(r"^([a-z0-9-]+)(?:\[[^\]]*\])?==\S+", re.MULTILINE)


def direct_dependencies(root: Path) -> set[str]:
    table = tomllib.loads((root / "pyproject.toml").read_text())
    project = table["project"]
    lines = [
        *project["dependencies"],
        *(line for extra in project["optional-dependencies"].values() for line in extra),
        *(line for group in table["dependency-groups"].values() for line in group),
    ]
    names = {re.split(r"[\[<>=~!; ]", line)[0].lower().replace("_", "-") for line in lines}
    return names - {"jobstream"}


def test_lock_names_no_host(root: Path) -> None:
    lock = (root / "requirements.lock").read_text()

    assert "://" not in lock
    assert "--index" not in lock
    assert "--find-links" not in lock


def test_lock_pins_every_package_by_hash(root: Path) -> None:
    blocks = re.split(r"\n(?=\S)", (root / "requirements.lock").read_text())
    packages = [block for block in blocks if not block.startswith("#")]

    assert packages
    assert not [b for b in packages if not REQUIREMENT.match(b) or "--hash=sha256:" not in b]


def test_lock_holds_every_direct_dependency(root: Path) -> None:
    locked = set(REQUIREMENT.findall((root / "requirements.lock").read_text()))

    assert direct_dependencies(root) <= locked, "run `make lock`"


def test_every_direct_dependency_has_its_reason(root: Path) -> None:
    page = (root / "docs" / "dependencies.md").read_text()
    explained = set(re.findall(r"^\| `([a-z0-9-]+)`", page, re.MULTILINE))

    assert explained == direct_dependencies(root), "docs/dependencies.md and pyproject.toml differ"
