"""`python -m tests.bench.growth`: what becomes of rate, CPU and memory as things grow, as curves.

It starts a broker of its own, measures one axis after the other, writes what it found as JSON and
draws a picture of each axis. One axis, or a small form of it, can be measured alone: the others
stay in the JSON as they were.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.bench.growth_axes import AXES
from tests.bench.picture import picture
from tests.bench.rig import Rig

import jobstream_processors.engine.way
from jobstream.broker import EmbeddedKafka

if TYPE_CHECKING:
    from tests.bench.growth_axes import Point

HEAP_MB = 1_024
DISK_GB = 8
"""Ten million jobs and their rows take up 4 GB, and as much again while they are being written."""


def arguments() -> argparse.Namespace:
    """The command line."""
    axes = "\n".join(f"  {name:12s}{axis.title}: {axis.full}" for name, axis in AXES.items())
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench.growth",
        description=(__doc__ or "").partition("\n")[0],
        epilog=f"axes, and the sizes of each:\n{axes}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--only", action="append", choices=list(AXES), help="may be repeated")
    parser.add_argument("--small", action="store_true", help="the small ends only: two minutes")
    parser.add_argument("--most", type=int, help="leave out sizes above this")
    parser.add_argument("--out", type=Path, default=Path(".cache/growth"), metavar="FOLDER")
    return parser.parse_args()


def main() -> int:
    """Measure and draw; 1 if an axis broke off, of which what was measured is kept."""
    options = arguments()
    options.out.mkdir(parents=True, exist_ok=True)
    if shutil.disk_usage(tempfile.gettempdir()).free < DISK_GB * 1e9 and not options.small:
        print(f"less than {DISK_GB} GB are free in {tempfile.gettempdir()}", file=sys.stderr)
        return 1
    broken = False
    for name in options.only or list(AXES):
        # A broker for each: topics that were deleted take up its heap and disk for a while.
        with (
            tempfile.TemporaryDirectory(prefix="jobstream-growth-") as folder,
            EmbeddedKafka(heap_mb=HEAP_MB) as kafka,
        ):
            os.environ["JOBSTREAM_BOOTSTRAP_SERVERS"] = kafka.bootstrap_servers
            os.environ["JOBSTREAM_STATE_DIR"] = str(Path(folder, "state"))
            os.environ["JOBSTREAM_ENQUEUE_TIMEOUT"] = "60s"  # a broker with many topics is slow
            rig = Rig(kafka.bootstrap_servers, Path(folder), options.small)
            broken |= not _measured(name, rig, options)
    return int(broken)


def _measured(name: str, rig: Rig, options: argparse.Namespace) -> bool:
    """Measure one axis, and write it down after each point; False if it broke off."""
    axis = AXES[name]
    sizes = axis.small if options.small else axis.full
    sizes = [size for size in sizes if options.most is None or size <= options.most]
    points: list[Point] = []
    load, began = os.getloadavg(), time.monotonic()
    try:
        for size, found in axis.measure(rig, sizes):
            points.append((size, found))
            values = "  ".join(f"{what} {value:,.4g}" for what, value in found.items())
            print(f"{name} {size:,}: {values}", flush=True)
            facts = {
                "command": ["python", "-m", "tests.bench.growth", *_asked(options)],
                "date": datetime.now(UTC).isoformat(timespec="seconds"),
                "build": _build(),
                "python": platform.python_version(),
                "cores": os.cpu_count(),
                "load": [*load, *os.getloadavg()],
                "points": points,
            }
            _write(options.out, name, facts)
    except Exception as error:  # noqa: BLE001 - the other axes must not be lost
        print(f"{name}: broke off: {type(error).__name__}: {error}", flush=True)
        return False
    print(f"{name}: took {time.monotonic() - began:.0f} s", flush=True)
    return True


def _asked(options: argparse.Namespace) -> list[str]:
    """The arguments that change what is measured: where it is written does not."""
    asked = [word for name in options.only or () for word in ("--only", name)]
    if options.most is not None:
        asked += ["--most", str(options.most)]
    return asked + ["--small"] * options.small


def _write(folder: Path, name: str, facts: dict[str, Any]) -> None:
    every = folder / "growth.json"
    known = json.loads(every.read_text()) if every.exists() else {}
    every.write_text(json.dumps(known | {name: facts}, indent=1) + "\n")
    axis = AXES[name]
    drawn = picture(axis.title, axis.along, axis.drawn(facts["points"]))
    (folder / f"growth-{name}.svg").write_text(drawn)


def _build() -> str:
    where = str(jobstream_processors.engine.way.__file__)
    return "compiled" if where.endswith(".so") else "pure"


if __name__ == "__main__":
    sys.exit(main())
