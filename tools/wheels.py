"""Builds a compiled wheel for each Python: `python -m tools.wheels [PYTHON …]`, into `dist/`.

Each is built in an environment of its own with the locked build tools, so the same source gives the
same bytes. Without arguments: every Python from 3.11 on that is on the PATH.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).parents[1]
LOCK = ROOT / "docker" / "build.lock"
DIST = ROOT / "dist"
MINORS = range(11, 20)
ASK = "import sys; print('{}.{}.{}'.format(*sys.version_info), sys.executable)"


def main(asked: list[str]) -> int:
    """Build one after the other; 1 if there is no Python to build for, or one cannot be run."""
    pythons = asked or [name for n in MINORS if runs(name := f"python3.{n}")]
    if missing := [name for name in pythons if not runs(name)]:
        print(f"cannot be run: {', '.join(missing)}; give paths of Pythons", file=sys.stderr)
    if missing or not pythons:
        return 1
    for python in pythons:
        for wheel in built(python):
            print(
                f"{sha256(wheel.read_bytes()).hexdigest()}  {wheel.relative_to(ROOT)}", flush=True
            )
    return 0


def runs(python: str) -> bool:
    """Whether this is a program that answers: a shim of a version manager may not."""
    found = shutil.which(python)
    return (
        found is not None
        and not subprocess.run([found, "-c", ASK], check=False, capture_output=True).returncode
    )


def built(python: str) -> list[Path]:
    """The wheel for one Python, in a list."""
    with TemporaryDirectory(prefix="jobstream-wheel-") as folder:
        subprocess.run([python, "-m", "venv", "--without-pip", folder], check=True)
        place = str(Path(folder, "bin", "python"))
        pip = [sys.executable, "-m", "pip", "--python", place, "install", "-q"]
        subprocess.run([*pip, "--require-hashes", "-r", str(LOCK)], check=True)
        out = Path(folder, "dist")
        build = [place, "-m", "hatchling", "build", "-t", "wheel", "-d", str(out)]
        subprocess.run(build, cwd=ROOT, check=True)
        DIST.mkdir(exist_ok=True)
        return [Path(shutil.copy2(wheel, DIST)) for wheel in out.glob("*.whl")]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
