"""Runs tests on the wheel of this platform: `python -m tools.compiled_tests`, and pytest's options.

The wheel is built from the sdist, as pip does it, and installed into an environment of its own,
which is asked whether all that is listed in `pyproject.toml` is compiled there. The libraries that
it needs are those of this environment.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import venv
from pathlib import Path

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / ".cache" / "compiled"
PURE_ALONE = ("answers", "grafana", "idempotency", "services", "sql", "stack", "views", "web")
"""Folders of unit tests that no compiled module is in the way of."""
ASK = """
import importlib.machinery, importlib.util, sys
for name in sys.argv[1:]:
    spec = importlib.util.find_spec(name)
    assert spec.origin.startswith(sys.prefix), f"{name} is imported from {spec.origin}"
    assert isinstance(spec.loader, importlib.machinery.ExtensionFileLoader), f"{name} is pure"
"""


def main() -> int:
    """Build, install, look, test; returns pytest's exit code."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    environment = {name: value for name, value in os.environ.items() if name != "JOBSTREAM_PURE"}
    build = [sys.executable, "-m", "hatchling", "build", "-d", str(FOLDER / "dist")]
    subprocess.run([*build, "-t", "sdist"], cwd=ROOT, check=True, env=environment)
    (packed,) = (FOLDER / "dist").glob("*.tar.gz")
    with tarfile.open(packed) as archive:
        archive.extractall(FOLDER, filter="data")
    source = FOLDER / packed.name.removesuffix(".tar.gz")
    subprocess.run([*build, "-t", "wheel"], cwd=source, check=True, env=environment)
    (wheel,) = (FOLDER / "dist").glob("*.whl")
    if wheel.name.endswith("-none-any.whl"):
        sys.exit("nothing was compiled: the line above says why")
    place = FOLDER / "env"
    venv.create(place, with_pip=False)
    python = place / "bin" / "python"
    packages = sysconfig.get_path("purelib", vars={"base": str(place)})
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "-q", "--no-deps"]
    subprocess.run([*pip, "--no-index", str(wheel)], cwd=FOLDER, check=True)
    # After its own packages, so that the wheel comes first; the checkout is not on the path at all.
    Path(packages, "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n")
    hook = tomllib.loads((ROOT / "pyproject.toml").read_text())
    hook = hook["tool"]["hatch"]["build"]["targets"]["wheel"]["hooks"]["custom"]
    subprocess.run([python, "-c", ASK, *hook["modules"]], cwd=FOLDER, check=True)
    left_out = [f"--ignore=tests/unit/{folder}" for folder in PURE_ALONE]
    run = [str(python), "-m", "pytest", *left_out, *sys.argv[1:]]
    return subprocess.run(run, cwd=ROOT, check=False, env=environment).returncode


if __name__ == "__main__":
    sys.exit(main())
