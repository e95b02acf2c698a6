"""A command that a message advises works as it is printed."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

import jobstream
import jobstream_processors
import jobstream_schemas
from jobstream.cli.app_name import AppName
from jobstream.cli.hints import typed
from jobstream.cli.root import COMMANDS, root

ADVISED = re.compile(rf"(?<!`)jobstream (?:{'|'.join(COMMANDS)})\b(?: [a-z]+\b)*+(?! MODULE:APP)")
WITHOUT_APP = {"broker"}
SHOW = "see: jobstream job show MODULE:APP 0199"
APPLY = "run: jobstream topics apply MODULE:APP --grow mail"


@pytest.mark.parametrize(
    ("app", "show", "apply"),
    [
        (AppName("shop:app"), "job show shop:app 0199", "topics apply shop:app --grow mail"),
        (AppName("shop"), "job show --app shop 0199", "topics apply MODULE:APP --grow mail"),
        (AppName("shop:app", in_folder=True), "job show 0199", "topics apply --grow mail"),
        (AppName("shop", in_folder=True), "job show 0199", "topics apply MODULE:APP --grow mail"),
        (None, "job show MODULE:APP 0199", "topics apply MODULE:APP --grow mail"),
    ],
    ids=["code", "bare", "folder", "bare by folder", "none"],
)
def test_a_hint_names_the_app_as_the_command_did(
    app: AppName | None, show: str, apply: str
) -> None:
    assert typed(SHOW, app) == f"see: jobstream {show}"
    assert typed(APPLY, app) == f"run: jobstream {apply}"


def test_what_is_no_command_is_left_as_it_is() -> None:
    told = "give MODULE:APP, as in shop:app"

    assert typed(told, AppName("mall:app")) == told


@pytest.mark.parametrize("ways", [["shop_hints:app"], ["--app", "shop_hints:app"]], ids=len)
def test_an_error_advises_a_command_with_the_app_in_it(
    ways: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = "from jobstream import App\nfrom jobstream.errors import TopicMissing\n"
    raises = f'raise TopicMissing("{APPLY}")\n'
    (tmp_path / "shop_hints.py").write_text(code + raises)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))

    told = CliRunner().invoke(root, ["topics", "plan", *ways]).output

    assert "jobstream topics apply shop_hints:app --grow mail" in told


def test_every_command_that_is_advised_has_a_place_for_the_app() -> None:
    bare = []
    for package in (jobstream, jobstream_processors, jobstream_schemas):
        for path in Path(package.__path__[0]).rglob("*.py"):
            for text in texts(ast.parse(path.read_text(encoding="utf-8"))):
                bare += [f"{path.name}: {found}" for found in advised(text)]

    assert bare == []


def advised(text: str) -> list[str]:
    """Commands about an app without a place for it."""
    found = (match[0] for match in ADVISED.finditer(text))
    return [each for each in found if each.split()[1] not in WITHOUT_APP]


def texts(tree: ast.AST) -> list[str]:
    """What the code says: every text but docstrings; an f-string is one text."""
    inside = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr | ast.Expr)
              for part in ast.walk(node) if part is not node}  # fmt: skip
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            parts = (p.value if isinstance(p, ast.Constant) else "\x00" for p in node.values)
            found.append("".join(map(str, parts)))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            found += [node.value] if id(node) not in inside else []
    return found
