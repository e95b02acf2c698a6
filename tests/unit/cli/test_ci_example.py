"""The CI file that users copy: valid, and its step fails for what would not decode, for no more."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

FILE = Path(__file__).resolve().parents[3] / "examples" / "ci" / "schemas.yml"
CODE = """
from dataclasses import dataclass
from jobstream import App

app = App("shop")

@dataclass
class Receipt:
    order_id: str
    {field}

@app.job
def send_receipt(args: Receipt) -> None: ...
"""
MORE = """
@app.job
def send_reminder(args: Receipt) -> None: ...
"""


def steps() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = yaml.safe_load(FILE.read_text())["jobs"]["schemas"]["steps"]
    return found


def command(word: str) -> str:
    """The one step that runs it."""
    (found,) = [step["run"] for step in steps() if word in step.get("run", "")]
    return str(found)


def test_it_compares_the_change_with_what_is_deployed() -> None:
    (deployed,) = [step["with"] for step in steps() if "path" in step.get("with", {})]

    assert deployed == {"ref": "${{ github.base_ref }}", "path": "deployed"}
    assert f"{deployed['path']}/schemas" in command("schemas check")


@pytest.mark.parametrize(
    ("field", "more", "code"),
    [
        ("", "", 0),
        ('language: str = "de"', "", 0),
        ("", MORE, 0),
        ("language: str", "", 1),
        ("language: str", MORE, 1),
    ],
)
def test_it_fails_for_what_would_not_decode(
    tmp_path: Path, field: str, more: str, code: int
) -> None:
    environ = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}

    def run(text: str) -> int:
        ran = subprocess.run(["/bin/bash", "-ec", text], cwd=tmp_path, env=environ, check=False)
        return ran.returncode

    (tmp_path / "shop.py").write_text(CODE.format(field=""))
    assert run("jobstream schemas export shop:app deployed/schemas") == 0
    (tmp_path / "shop.py").write_text(CODE.format(field=field) + more)

    assert run(command("schemas check")) == code
