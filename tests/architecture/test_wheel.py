"""The wheel holds the three packages whole, and nothing else."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

PACKAGES = {
    "jobstream_schemas": "schemas",
    "jobstream_processors": "processors",
    "jobstream": "streams",
}
LIGHT = {"confluent-kafka", "fastavro", "uuid-utils"}


@pytest.fixture(scope="module")
def wheel(root: Path, tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build, cwd=root, check=True, capture_output=True)
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
        if path.is_file() and path.suffix != ".pyc"
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
