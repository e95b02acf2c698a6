"""The wheel holds the three packages whole, and nothing else."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import zipfile
from email.parser import Parser
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from jobstream.roles.every_role import ROLES

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGES = {
    "jobstream_schemas": "schemas",
    "jobstream_processors": "processors",
    "jobstream": "streams",
}
DJANGO_FINDS = {"JobstreamConfig"}
FOUND_BY_NAME = (
    "jobstream.views.migrations",
    "jobstream.django.apps",
    "jobstream.django.management",
    "jobstream.django.project",  # its app, on a command line
)
LIGHT = {"confluent-kafka", "fastavro", "uuid-utils"}
DOOR = {"jobstream", "jobstream.__main__", "jobstream.testing"}
BLOCK = re.compile(r"^ *```python\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def wheel(root: Path, tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    environment = {**os.environ, "JOBSTREAM_PURE": "1"}
    subprocess.run(build, cwd=root, check=True, capture_output=True, env=environment)
    (built,) = folder.glob("*.whl")
    return zipfile.ZipFile(built)


def test_top_level_is_three_packages(wheel: zipfile.ZipFile) -> None:
    tops = {name.split("/")[0] for name in wheel.namelist()}

    assert {top for top in tops if not top.endswith(".dist-info")} == set(PACKAGES)


@pytest.mark.parametrize("package", PACKAGES)
def test_package_is_whole(wheel: zipfile.ZipFile, root: Path, package: str) -> None:
    source = root / PACKAGES[package]
    expected = {
        path.relative_to(source).as_posix()
        for path in (source / package).rglob("*")
        if path.is_file() and path.suffix not in {".pyc", ".so"}
    }

    packed = {name for name in wheel.namelist() if name.split("/")[0] == package}
    assert packed == expected
    assert f"{package}/py.typed" in packed


def test_schemas_of_the_records_are_packed(wheel: zipfile.ZipFile, root: Path) -> None:
    written = {path.name for path in (root / "schemas").rglob("*.avsc")}

    packed = {Path(name).name for name in wheel.namelist() if name.endswith(".avsc")}
    assert packed == written


def test_enqueueing_needs_three_libraries(wheel: zipfile.ZipFile) -> None:
    (name,) = [n for n in wheel.namelist() if n.endswith(".dist-info/METADATA")]
    metadata = Parser().parsestr(wheel.read(name).decode())

    always = [line for line in metadata.get_all("Requires-Dist", []) if "extra ==" not in line]
    assert {line.split(">")[0].strip() for line in always} == LIGHT
    assert metadata["License-Expression"] == "Apache-2.0"


def test_nothing_of_the_tests_is_packed(wheel: zipfile.ZipFile) -> None:
    named = re.compile(r"(^|/)(tests?|harness|conftest|test_\w+)(/|\.py$)")

    assert not [name for name in wheel.namelist() if named.search(name)]


def test_every_module_is_used_by_more_than_our_tests(wheel: zipfile.ZipFile, root: Path) -> None:
    """From the command line, the front door, the list of roles, or what the docs import."""
    named = {module_of(name): name for name in wheel.namelist() if name.endswith(".py")}
    imports = {
        module: set(imported(wheel.read(name).decode(), module)) for module, name in named.items()
    }
    shown = {name for text in texts_for_users(root) for name in imported(text, "")}
    commands = {module for module in named if module.startswith("jobstream.cli.commands.")}
    roles = {f"jobstream.roles.{name}_role" for name in ROLES}
    # Alembic and Django find these by their folders and names.
    steps = {module for module in named if module.startswith(FOUND_BY_NAME)}
    reached: set[str] = set()
    ahead = DOOR | commands | roles | steps | (shown & named.keys())
    while ahead:
        module = ahead.pop()
        reached.add(module)
        packages = {module.rpartition(".")[0]} - {""}
        ahead |= ((imports[module] | packages) & named.keys()) - reached

    assert sorted(named.keys() - reached) == []


def test_every_name_is_used_by_more_than_our_tests(wheel: zipfile.ZipFile, root: Path) -> None:
    shipped = [wheel.read(n).decode() for n in wheel.namelist() if n.endswith(".py")]
    used = {name for text in (*shipped, *texts_for_users(root)) for name in names_used(text)}
    made = {name for text in shipped for name in public_names(text)} - DJANGO_FINDS

    assert sorted(made - used) == []


def module_of(name: str) -> str:
    return name.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def texts_for_users(root: Path) -> Iterator[str]:
    """The Python that pages show, and the programs that show how it is used."""
    for page in (root / "README.md", *(root / "docs").rglob("*.md")):
        yield from BLOCK.findall(page.read_text())
    for folder in ("examples", "grafana", "tools"):
        yield from (path.read_text() for path in (root / folder).rglob("*.py"))


def parsed(text: str) -> ast.Module:
    try:
        return ast.parse(text)
    except (SyntaxError, ValueError):  # a sample with dots in it, a broken file of an example
        return ast.Module([], [])


def imported(text: str, module: str) -> Iterator[str]:
    """What a module imports, in functions as well, or loads by its name."""
    for node in ast.walk(parsed(text)):
        match node:
            case ast.Import(names):
                yield from (each.name for each in names)
            case ast.ImportFrom(of, names):
                yield from (str(of), *(f"{of}.{each.name}" for each in names))
            case ast.Constant(str(value)) if value != module and value.startswith("jobstream"):
                yield value
            case ast.Constant(str(value)) if value.endswith(".py"):  # run as a program
                yield f"{module.rpartition('.')[0]}.{value.removesuffix('.py')}"


def names_used(text: str) -> Iterator[str]:
    for node in ast.walk(parsed(text)):
        match node:
            case ast.Name(name, ast.Load()) | ast.Attribute(_, name):
                yield name
            case ast.ImportFrom():
                yield from (each.name for each in node.names)
            case ast.Constant(str(value)) if len(value) < 100:
                yield from re.findall(r"\w+", value)


def public_names(text: str) -> Iterator[str]:
    """Functions and classes of a module; those with a `_` are private, decorators use others."""
    for node in parsed(text).body:
        match node:
            case (
                ast.FunctionDef(name=name, decorator_list=[])
                | ast.AsyncFunctionDef(name=name, decorator_list=[])
                | ast.ClassDef(name=name)
            ) if not name.startswith("_"):
                yield name
