"""What is listed as compiled can be compiled, and keeps clear of what compiled code does not do."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
WHEEL: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
WHEEL = WHEEL["tool"]["hatch"]["build"]["targets"]["wheel"]
HOMES: dict[str, str] = {
    package.split("/")[1]: package.split("/")[0] for package in WHEEL["packages"]
}
MODULES: list[str] = WHEEL["hooks"]["custom"]["modules"]
SHAPELESS = {"object", "Protocol", "NamedTuple", "Generic", "IntEnum", "Enum", "StrEnum"}
"""Bases that are not of a class of ours."""


def path_of(module: str) -> Path:
    return ROOT / HOMES[module.split(".", maxsplit=1)[0]] / f"{module.replace('.', '/')}.py"


def classes() -> Iterator[tuple[str, ast.ClassDef]]:
    for module in MODULES:
        for node in ast.walk(ast.parse(path_of(module).read_text())):
            if isinstance(node, ast.ClassDef):
                yield module, node


def test_the_list_is_sorted_and_names_files() -> None:
    assert sorted(set(MODULES)) == MODULES
    assert [module for module in MODULES if not path_of(module).is_file()] == []


def test_every_listed_module_compiles_without_a_warning() -> None:
    """A warning means that compiled code would do something else than the source says."""
    check = [sys.executable, "hatch_build.py", "check"]
    ran = subprocess.run(check, cwd=ROOT, check=False, capture_output=True, text=True)

    assert (ran.returncode, ran.stdout + ran.stderr) == (0, "")


@pytest.mark.parametrize("what", [["hatch_build.py"], ["-m", "hatchling", "build", "-t", "wheel"]])
def test_without_a_compiler_one_line_says_so(what: list[str], tmp_path: Path) -> None:
    """In place nothing is done; a wheel is the pure one, and holds no library."""
    environment = {**os.environ, "PATH": str(tmp_path), "CC": "cc"}
    environment.pop("JOBSTREAM_PURE", None)
    given = [] if len(what) == 1 else ["-d", str(tmp_path)]

    ran = subprocess.run(
        [sys.executable, *what, *given],
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
        env=environment,
    )

    assert "there is no C compiler (cc)" in ran.stderr.splitlines()[0]
    assert ran.returncode == (0 if given else 1)
    names = [name for wheel in tmp_path.glob("*.whl") for name in zipfile.ZipFile(wheel).namelist()]
    assert [name for name in names if name.endswith(".so")] == []
    assert bool(names) == bool(given)


def test_no_compiled_class_has_an_interpreted_base() -> None:
    """A weak reference to an instance of such a class would point to freed memory at last."""
    compiled = {node.name for _, node in classes()}
    bases = [
        f"{module}.{node.name}({ast.unparse(base)})"
        for module, node in classes()
        for base in node.bases
        if ast.unparse(base).split("[")[0] not in SHAPELESS | compiled
    ]

    assert bases == []


def test_no_interpreted_class_inherits_from_a_compiled_one() -> None:
    """It could be defined, but not instantiated."""
    compiled = {node.name for _, node in classes() if not shapeless(node)}
    listed = {path_of(module) for module in MODULES}
    heirs = [
        f"{path.relative_to(ROOT)}: {node.name}"
        for home in HOMES.values()
        for path in (ROOT / home).rglob("*.py")
        if path not in listed
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ClassDef)
        and compiled & {ast.unparse(base).split("[")[0] for base in node.bases}
    ]

    assert heirs == []


@pytest.mark.parametrize("module", MODULES)
def test_causes_are_told_by_a_call(module: str) -> None:
    """What follows the `from` of a raise is lost in compiled code: `caused` keeps it."""
    lost = [
        node.lineno
        for node in ast.walk(ast.parse(path_of(module).read_text()))
        if isinstance(node, ast.Raise) and node.cause is not None and not keeps_cause(node.exc)
    ]

    assert lost == []


def keeps_cause(raised: ast.expr | None) -> bool:
    return isinstance(raised, ast.Call) and ast.unparse(raised.func) in {"caused", "_of_job"}


def shapeless(node: ast.ClassDef) -> bool:
    return bool(SHAPELESS - {"object", "Generic"} & {ast.unparse(base) for base in node.bases})
