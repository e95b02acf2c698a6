"""Imports go one way, and the core stays pure: the contracts of pyproject.toml hold."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

from importlinter import api

if TYPE_CHECKING:
    from pathlib import Path


def test_import_contracts_hold(root: Path) -> None:
    # In a process of its own: the linter configures logging and silences loggers that exist.
    code = "import sys; from importlinter import cli; sys.exit(cli.lint_imports(no_cache=True))"
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=False
    )

    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_no_contract_is_softened(root: Path) -> None:
    contracts = api.read_configuration(str(root / "pyproject.toml"))["contracts_options"]

    softened = [c["name"] for c in contracts if c.get("ignore_imports")]
    assert len(contracts) >= 4
    assert not softened, f"these contracts carry exceptions: {softened}"
