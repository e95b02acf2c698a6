"""The app: one job reads a file into the index, another sums up a package.

A worker needs to know no more than this module: `jobstream worker examples.stdlib_index.app:app`.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from examples.stdlib_index import store
from examples.stdlib_index.reading import read
from examples.stdlib_index.sources import Source

from jobstream import App, Backoff, Context, Snooze
from jobstream.testing.ledger import Ledger

FOLDER = Path(os.environ.get("STDLIB_INDEX_DIR", "stdlib-index"))
DATABASE = FOLDER / "index.sqlite"
LOOK_AGAIN = "4s"
LOOKS_MAX = 40
"""How often a report looks for missing modules before it goes without them."""

RARE = dict.fromkeys(("5s", "30s", "2m", "10m", "1h", "6h", "1d"), 1)
"""Partitions of the ladder's rungs: nothing here waits for five seconds, so one each will do."""

app = App("stdlib-index", concurrency=8, children=3)
files = app.queue("files", partitions=6, rungs=RARE)
reports = app.queue("reports", partitions=2, rungs=RARE)
ledger = Ledger(FOLDER / "ledger")

NO_PYTHON = (SyntaxError, ValueError, RecursionError)
"""What the parser raises for a file that no retry can mend."""
BUSY = Backoff(attempts=20, first="200ms", factor=1.5, cap="3s", dead_on=NO_PYTHON)
"""Another writer holds the lock for milliseconds: soon again, and spread by jitter."""


@dataclass(frozen=True)
class IndexModule:
    """A file to read. The first one of a package asks for the package's report."""

    path: str
    module: str
    package: str
    modules_in_package: int = 0
    """Of the first file: how many there are. Of all others: 0."""


@dataclass(frozen=True)
class ReportPackage:
    """A package to sum up, once all its modules have been read."""

    package: str
    modules: int


# Parsing is work for the processor: in threads it would hold up everything else in the worker.
@app.job(queue=files, retry=BUSY, timeout="20s", executor="process")
def index_module(args: IndexModule, ctx: Context) -> None:
    """Parse a file and write its functions, classes and imports into the index."""
    with ledger.run(ctx):
        if args.modules_in_package:
            wanted = ReportPackage(args.package, args.modules_in_package)
            # However often this runs, the child has the same id: there is one report.
            child = ctx.enqueue(report_package, wanted, child_name=args.package)
            ledger.enqueued(child.job_id)
        source = Source(args.path, args.module, args.package)
        try:
            reading = read(Path(args.path).read_bytes(), args.path)
        except NO_PYTHON as error:
            store.write_trouble(DATABASE, source, repr(error))
            raise
        store.write_reading(DATABASE, source, reading)


@app.job(queue=reports, retry=BUSY, timeout="20s")
def report_package(args: ReportPackage, ctx: Context) -> None:
    """Sum up a package; while modules are missing, come back later without using an attempt."""
    with ledger.run(ctx):
        if ctx.seq < LOOKS_MAX and store.modules_of(DATABASE, args.package) < args.modules:
            raise Snooze(LOOK_AGAIN)
        store.write_report(DATABASE, args.package)
