"""`make demo`: index the standard library through real Kafka, with a worker killed half-way.

It makes the surroundings (a broker, a folder, the settings that workers inherit) and removes them
afterwards; what happens in between is in `run`. Exit code 0 means that every job reached its end
and none was run again after it.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from examples.stdlib_index.fleet import APP, Fleet, WorkerDied
from examples.stdlib_index.sources import find_sources
from rich.console import Console

from jobstream.broker import EmbeddedKafka

if TYPE_CHECKING:
    from collections.abc import Sequence

WORKERS = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demo; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m examples.stdlib_index", description=__doc__)
    parser.add_argument("--files", type=int, help="index about so many files only")
    parser.add_argument("--keep", type=Path, help="keep index, ledger and logs in this new folder")
    parser.add_argument(
        "--look", action="store_true", help="serve the jobs as pages at the end, until Ctrl-C"
    )
    options = parser.parse_args(arguments)
    folder = options.keep or Path(tempfile.mkdtemp(prefix="stdlib-index-"))
    folder.mkdir(parents=True, exist_ok=True)
    code = 1
    try:
        code = _run(folder.absolute(), options.files, look=options.look)
    except WorkerDied as error:
        print(f"demo: {error}", file=sys.stderr)
    finally:
        if code or options.keep:
            print(f"index, ledger and the workers' logs are in {folder}", file=sys.stderr)
        else:
            shutil.rmtree(folder)
    return code


def _run(folder: Path, files: int | None, *, look: bool) -> int:
    console = Console()
    console.print("starting Kafka (its first start downloads 44 MB)")
    with EmbeddedKafka() as kafka:
        # The app reads these when it is imported, here and in every worker.
        os.environ["JOBSTREAM_BOOTSTRAP_SERVERS"] = kafka.bootstrap_servers
        os.environ["JOBSTREAM_STATE_DIR"] = str(folder / "state")
        os.environ["STDLIB_INDEX_DIR"] = str(folder)
        # Old files of the standard library hold escapes that newer Pythons warn of.
        os.environ["PYTHONWARNINGS"] = "ignore::SyntaxWarning"
        from examples.stdlib_index.run import Demo  # noqa: PLC0415 - see above

        with Fleet(WORKERS, folder, os.environ) as fleet:
            code = Demo(console, fleet, find_sources(files)).run()
        if look:
            _serve_pages()
        else:
            hint = "to look at these jobs in a browser: make demo ARGS=--look"
            print(hint, file=sys.stderr)
        return code


def _serve_pages() -> None:
    """Serve the app's pages until Ctrl-C; the broker with its jobs stays for so long."""
    serve = [sys.executable, "-m", "jobstream", "web", APP]
    with suppress(KeyboardInterrupt):
        subprocess.run(serve, check=False)  # noqa: S603 - a command of ours


if __name__ == "__main__":
    sys.exit(main())
