"""`make observe`: the whole stack on this machine, with a load and trouble in it, to be looked at.

It makes the surroundings (a broker, a folder) and removes them afterwards; the services are those
of docker-compose.yml, with the very commands that stand there.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from examples.observe.stage import NotReady, Stage
from examples.observe.tools import MissingTool, program

from jobstream.broker import EmbeddedKafka

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT = Path(__file__).parents[2]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the stack; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m examples.observe", description=__doc__)
    parser.add_argument("--seconds", type=float, help="stop so long after all is ready")
    parser.add_argument("--workers", type=int, default=2, help="worker processes")
    parser.add_argument("--keep", type=Path, help="keep data and logs in this new folder")
    options = parser.parse_args(arguments)
    try:
        for names in (("prometheus",), ("prometheus-alertmanager", "alertmanager")):
            program(*names)
    except MissingTool as error:
        print(f"observe: {error}", file=sys.stderr)
        return 1
    folder = (options.keep or Path(tempfile.mkdtemp(prefix="jobstream-observe-"))).absolute()
    folder.mkdir(parents=True, exist_ok=True)
    code = 1
    try:
        print("observe: starting Kafka (its first start downloads 44 MB)", flush=True)
        with EmbeddedKafka() as kafka:
            stage = Stage(ROOT, folder, kafka.bootstrap_servers, options.workers)
            code = stage.run(options.seconds)
    except (NotReady, subprocess.CalledProcessError) as error:
        print(f"observe: {error}", file=sys.stderr)
    except KeyboardInterrupt:
        code = 130  # before the first process was there to be stopped
    finally:
        if code or options.keep:
            print(f"observe: data and logs are in {folder}", file=sys.stderr)
        else:
            shutil.rmtree(folder)
    return code


if __name__ == "__main__":
    sys.exit(main())
