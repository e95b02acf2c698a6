"""Imports go one way, and the core stays pure: the contracts of pyproject.toml hold."""

from __future__ import annotations

from typing import TYPE_CHECKING

from importlinter import api, cli

if TYPE_CHECKING:
    from pathlib import Path


def test_import_contracts_hold(root: Path) -> None:
    status = cli.lint_imports(str(root / "pyproject.toml"), no_cache=True, no_logo=True)

    assert status == cli.EXIT_STATUS_SUCCESS, "the output above names the import that breaks it"


def test_no_contract_is_softened(root: Path) -> None:
    contracts = api.read_configuration(str(root / "pyproject.toml"))["contracts_options"]

    softened = [c["name"] for c in contracts if c.get("ignore_imports")]
    assert len(contracts) >= 4
    assert not softened, f"these contracts carry exceptions: {softened}"
