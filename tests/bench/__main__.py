"""`python -m tests.bench`: jobstream beside bare loops and Celery, in one run on one broker.

It starts a broker of its own on free ports and ends it, prints a table and writes a JSON file.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

from tests.bench.report import Figure, failed, save, table
from tests.bench.rig import Rig

from jobstream.broker import EmbeddedKafka

if TYPE_CHECKING:
    from collections.abc import Sequence

CASES = {
    "noop": "settled no-op jobs by executor, beside a bare loop",
    "metrics": "what counting costs: the same with and without the meter",
    "celery_redis": "settled no-op jobs beside Celery with Redis, in turn",
    "waiting": "jobs that wait 20 ms, 200 at once",
    "burning": "jobs that keep a core busy for 5 ms, in child processes, beside as many bare loops",
    "rules": "what rules cost that hold nothing up: unique, limits, fair",
    "keyed": "one partition, 100 keys, 5 ms, 100 at once",
    "fair": "a quiet tenant beside a loud one, with fair_by and without",
    "enqueue": "enqueue one by one, async and in bulk, beside a bare producer",
    "web": "enqueue over HTTP at 200 jobs/s, and answers of screens",
    "services": "what services pay: requests with idempotency keys, outbox and inbox",
    "latency": "enqueue to start at 100 jobs/s",
    "delayed": "how late delayed jobs are, by broker time",
    "schedules": "how late ticks are at a thousand schedules",
    "restore": "rows/s into an empty dedup table, and a warm start",
    "memory": "memory with a million jobs waiting",
    "footprint": "memory of a worker: idle, in a burst, after it, and of its child processes",
    "exporter": "one look of the lag exporter at a thousand partitions",
    "views": "the read side: folding, queries at a million jobs, and how fresh its rows are",
    "processes": "CPU a job of one, two and four worker processes, and the broker's share",
    "start": "from starting a worker to its first job",
    "recovery": "how long partitions stand still after deaths and restarts (three brokers)",
}
HEAP_MB = 768


def arguments() -> argparse.Namespace:
    """The command line."""
    cases = "\n".join(f"  {name:14s}{what}" for name, what in CASES.items())
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench",
        description=(__doc__ or "").partition("\n")[0],
        epilog=f"measurements:\n{cases}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--quick", action="store_true", help="smaller numbers, under two minutes")
    parser.add_argument("--only", action="append", choices=list(CASES), help="may be repeated")
    parser.add_argument(
        "--beside",
        action="append",
        type=Path,
        default=[],
        metavar="CHECKOUT",
        help="with a .venv, such as one that is compiled: noop runs its workers in turn, too",
    )
    parser.add_argument("--json", type=Path, default=Path(".cache/bench.json"), metavar="FILE")
    return parser.parse_args()


def run(rig: Rig, names: Sequence[str]) -> list[Figure]:
    """Take the measurements in order; one that fails is reported and does not stop the others."""
    figures: list[Figure] = []
    for name in names:
        started = time.monotonic()
        print(f"{name}: {CASES[name]} …", file=sys.stderr, flush=True)
        case = importlib.import_module(f"tests.bench.{name}")
        try:
            for figure in case.measure(rig):
                figures.append(figure)
                print(f"  {'  '.join(figure.row())}", file=sys.stderr, flush=True)
        except Exception as error:  # noqa: BLE001 - the other measurements must not be lost
            traceback.print_exc()
            figures.append(failed(CASES[name], error))
        print(f"  took {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)
    return figures


def main() -> int:
    """Measure; 1 if one of the measurements broke; a missed goal is no error."""
    options = arguments()
    load = os.getloadavg()
    with (
        tempfile.TemporaryDirectory(prefix="jobstream-bench-") as folder,
        EmbeddedKafka(heap_mb=HEAP_MB) as kafka,
    ):
        os.environ["JOBSTREAM_BOOTSTRAP_SERVERS"] = kafka.bootstrap_servers
        os.environ["JOBSTREAM_STATE_DIR"] = str(Path(folder, "state"))
        beside = tuple(path.resolve() for path in options.beside)
        rig = Rig(kafka.bootstrap_servers, Path(folder), options.quick, tuple(kafka.pids), beside)
        figures = run(rig, options.only or list(CASES))
    print(table(figures))
    save(figures, options.json, load)
    print(f"written to {options.json}")
    return int(any(figure.failed for figure in figures))


if __name__ == "__main__":
    sys.exit(main())
