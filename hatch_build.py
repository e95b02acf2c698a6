"""Compiles the hot path with mypyc, from the very files that are read and tested.

The wheel of a platform holds the compiled modules and their sources beside them. Hatchling calls
`HotPath` for each wheel; `python hatch_build.py` compiles in place, for a benchmark of a checkout.
Which modules are compiled is listed in `pyproject.toml`. Where nothing can be compiled, the wheel
is the pure one, and one line tells why.
"""

from __future__ import annotations

import os
import shutil
import sys
import sysconfig
import tomllib
from contextlib import chdir
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

if TYPE_CHECKING:
    from collections.abc import Sequence

COMPILER = ("mypy>=2.4", "setuptools>=80")
"""What a compiled build needs beside a C compiler. The pure one does not even fetch it."""
LIBRARY = "jobstream"
"""All modules are in one library, `jobstream__mypyc`, so that calls between them stay in C."""
PURE = "JOBSTREAM_PURE"
# Types of other libraries are not looked at: what is compiled must not depend on what is installed.
# `make check` does look at them.
MYPY = ("--config-file", "mypy.ini", "--no-site-packages", "--ignore-missing-imports")


class HotPath(BuildHookInterface):  # type: ignore[type-arg] # any configuration will do
    """Puts the compiled modules into a wheel."""

    def dependencies(self) -> list[str]:
        """What must be installed before a build."""
        return [] if why_pure() else list(COMPILER)

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile, unless the build is an editable or a pure one."""
        if version == "editable" or (why := why_pure()) is PURE:
            return
        if why:
            self.app.display_warning(f"jobstream is built as pure Python, which is slower: {why}")
            return
        self._folder = TemporaryDirectory(prefix="jobstream-")
        roots = [Path(self.root, package) for package in self.build_config.packages]
        made = compiled(roots, self.config["modules"], Path(self._folder.name))
        build_data["force_include"] |= {str(path): name for name, path in made.items()}
        build_data["pure_python"] = False
        build_data["infer_tag"] = True

    def finalize(self, *_: object) -> None:
        """Remove what was compiled: the wheel has it."""
        if "_folder" in vars(self):
            self._folder.cleanup()


def why_pure() -> str | None:
    """Why nothing is to be compiled; None if it is."""
    if os.environ.get(PURE, "0") not in {"", "0"}:
        return PURE
    if sys.implementation.name != "cpython" or sysconfig.get_config_var("Py_GIL_DISABLED"):
        return "modules are compiled for the usual CPython alone"
    command = os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc"
    name = command.split()[0]
    if shutil.which(name) is None:
        return f"there is no C compiler ({name})"
    if not Path(sysconfig.get_path("include"), "Python.h").exists():
        return "the headers of Python are missing (Python.h)"
    return None


def staged(packages: Sequence[Path], modules: Sequence[str], folder: Path) -> list[str]:
    """Copy the sources to where they stand in an environment; returns the files to compile.

    So the paths in tracebacks are those that Python finds on its path, wherever the build was.
    """
    for package in packages:
        shutil.copytree(package, folder / package.name, ignore=shutil.ignore_patterns("*.so"))
    (folder / "mypy.ini").write_text("[mypy]\n")
    return sorted(f"{module.replace('.', '/')}.py" for module in modules)


def compiled(packages: Sequence[Path], modules: Sequence[str], folder: Path) -> dict[str, Path]:
    """The shared libraries of `modules`, by their path in a wheel; made in `folder`."""
    from mypyc.build import mypycify  # noqa: PLC0415 - only there where something is compiled
    from setuptools import Distribution  # type: ignore[import-untyped] # noqa: PLC0415

    with chdir(folder):
        files = staged(packages, modules, folder)
        libraries = mypycify(
            [*MYPY, *files],
            only_compile_paths=files,
            group_name=LIBRARY,
            target_dir="c",
            debug_level="0",
        )
        build = Distribution({"ext_modules": libraries}).get_command_obj("build_ext")
        build.build_lib, build.build_temp = "lib", "o"
        build.ensure_finalized()
        build.run()
    made = sorted((folder / "lib").rglob("*.*"))
    return {path.relative_to(folder / "lib").as_posix(): path for path in made}


def translated(packages: Sequence[Path], modules: Sequence[str], folder: Path) -> None:
    """Translate `modules` to C and compile none of it; prints what mypyc warns of."""
    from mypyc.build import mypyc_build  # noqa: PLC0415
    from mypyc.options import CompilerOptions  # noqa: PLC0415

    with chdir(folder):
        files = staged(packages, modules, folder)
        options = CompilerOptions(target_dir="c", group_name=LIBRARY)
        mypyc_build([*MYPY, *files], options, only_compile_paths=files)


def main(words: Sequence[str]) -> None:
    """Compile in place, each library beside its source; with `check`, only translate."""
    root = Path(__file__).parent
    wheel = tomllib.loads((root / "pyproject.toml").read_text())
    wheel = wheel["tool"]["hatch"]["build"]["targets"]["wheel"]
    packages = [root / package for package in wheel["packages"]]
    modules = wheel["hooks"]["custom"]["modules"]
    homes = {package.name: package.parent for package in packages}
    with TemporaryDirectory(prefix="jobstream-") as folder:
        if words == ["check"]:
            translated(packages, modules, Path(folder))
            return
        if why := why_pure():
            sys.exit(f"nothing is compiled: {why}")
        made = compiled(packages, modules, Path(folder))
        for stale in (stale for package in packages for stale in package.parent.rglob("*.so")):
            stale.unlink()
        for name, path in made.items():
            shutil.copy2(path, homes.get(name.split("/")[0], packages[0].parent) / name)


if __name__ == "__main__":
    main(sys.argv[1:])
