"""`python -m tests.bench.soak`: whether anything grows in a worker under an hour's steady load.

It starts a broker of its own, fills the tables, and then enqueues jobs of every kind at a bounded
rate. Each ten seconds it looks at the worker from outside. At the end it tells the slope of the
worker's memory after the warm-up, and holds every job against a ledger: nothing lost, nothing
doubled. Now and then a second worker joins and leaves, or the broker is killed and started again.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from tests.bench.soak_load import SteadyLoad
from tests.bench.soak_probe import Probe
from tests.bench.trend import STRETCHES, trend
from tests.harness.fleet import Fleet
from tests.harness.stillness import Stillness
from tests.harness.trial import Trial
from tests.harness.waiting import wait_until

from jobstream.broker import EmbeddedKafka
from jobstream.errors import EnqueueError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import ModuleType

    from tests.bench.soak_probe import Sample

LOOK_S = 10.0
TOLD_EVERY = 6
"""Looks between two lines of the log."""
HEAP_MB = 512
TABLES_MB = 50.0
"""The bound of 32 MiB, and what RocksDB may pass it by while it flushes and reads."""
SERVES_S = GONE_S = 120.0
REST_S = 70.0
"""A worker gives memory back within two looks of half a minute."""
FILL_LIMIT_S, FILL_A_SECOND = 300.0, 2_000
"""How long the jobs before the load may take at least, and their least rate beyond that."""
GUEST_S = 40.0
"""How long a second worker stays."""
ROOM = 3
"""So many more threads or descriptors are chance: connections come and go."""
NAP = threading.Event()


def arguments() -> argparse.Namespace:
    """The command line."""
    told = (__doc__ or "").partition("\n")[0]
    parser = argparse.ArgumentParser(prog="python -m tests.bench.soak", description=told)
    parser.add_argument("--minutes", type=float, default=60.0, help="of load, the warm-up included")
    parser.add_argument("--rate", type=int, default=300, help="jobs a second")
    parser.add_argument(
        "--fill",
        type=int,
        default=3_000_000,
        help="no-op jobs before it begins: with fewer, the tables' caches fill while it is judged",
    )
    parser.add_argument(
        "--warm-up", type=float, help="minutes that are not judged; a quarter, if not said"
    )
    parser.add_argument(
        "--disturb", type=float, default=10.0, help="minutes between disturbances; 0 for none"
    )
    parser.add_argument(
        "--bound", type=float, default=8.0, help="MB an hour that are too much; the interval counts"
    )
    parser.add_argument("--folder", type=Path, default=Path(".cache/soak"))
    return parser.parse_args()


def main() -> int:
    """Soak; 1 if something grew, or a job was lost or doubled."""
    options = arguments()
    folder: Path = options.folder.resolve()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    with EmbeddedKafka(heap_mb=HEAP_MB) as kafka:
        env = {
            "JOBSTREAM_BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
            "JOBSTREAM_STATE_DIR": str(folder / "state"),
            "JOBSTREAM_ENQUEUE_TIMEOUT": "60s",
            "JOBSTREAM_CHILDREN": "1",
            "SOAK_FOLDER": str(folder),
            "PYTHONPATH": os.pathsep.join(sys.path),
        }
        os.environ.update(env)
        shop = importlib.import_module("tests.bench.soak_app")
        command = [sys.executable, "-m", "jobstream", "worker", "tests.bench.soak_app:app"]
        with Fleet(command, folder / "logs", env) as fleet, Stillness() as stillness:
            trial = Trial(shop.app, fleet, folder / "ledger", stillness)
            report = _soaked(trial, kafka, shop, options)
    found = folder / "soak.json"
    found.write_text(json.dumps(report, indent=1) + "\n")
    print(f"written to {found}", flush=True)
    return int(bool(report["faults"]))


def _soaked(
    trial: Trial, kafka: EmbeddedKafka, shop: ModuleType, options: argparse.Namespace
) -> dict[str, Any]:
    """Load, look, disturb; then the verdict."""
    trial.create_topics()
    worker = trial.fleet.start()
    shop.fill.enqueue_many(shop.Work(n) for n in range(options.fill))
    trial.wait_until_quiet(max(FILL_LIMIT_S, options.fill / FILL_A_SECOND))
    probe = Probe(trial, worker.pid, Path(os.environ["JOBSTREAM_STATE_DIR"]), shop.CENSUS)
    rested = [_at_rest(trial, shop, probe)]
    _tell(f"{_version()}; at rest after {options.fill:,} jobs", rested[0])
    disturb = Disturbance(trial, kafka, options.disturb * 60)
    with SteadyLoad(shop, options.rate) as load:
        samples = _watched(probe, shop, disturb, options)
    trial.wait_until_quiet()
    rested.append(_at_rest(trial, shop, probe))
    _tell("at rest after the load", rested[1])
    trial.fleet.drain_all()
    trial.fleet.note_losses()
    warm_s = 60 * (options.minutes / 4 if options.warm_up is None else options.warm_up)
    judged = [sample for sample in samples if sample["at_s"] - samples[0]["at_s"] >= warm_s]
    grown, faults = _growth(judged, options.bound)
    found = trial.audit(load.ids, hold_key=["book"])
    wrong = f"{found.lost} lost, {found.doubled} doubled, {found.order_violations} out of order"
    if found.lost + found.doubled + found.order_violations:
        faults.append(wrong)
    _say(
        f"{found.enqueued:,} jobs: {found.done:,} done, {found.dead:,} dead, {wrong}, "
        f"{found.reruns} run again; {load.unknown} enqueues unanswered; "
        f"{disturb.done} disturbances"
    )
    for finding in found.findings[:5]:
        _say(f"  {finding}")
    for fault in faults:
        _say(f"FAULT: {fault}")
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": ["python", "-m", "tests.bench.soak", *sys.argv[1:]],
        "version": _version(),
        "rested": rested,
        "grown": grown,
        "audit": asdict(found),
        "unanswered": load.unknown,
        "disturbances": disturb.done,
        "faults": faults,
        "samples": samples,
    }


def _at_rest(trial: Trial, shop: ModuleType, probe: Probe) -> Sample:
    """What the worker keeps once cycles are collected and freed memory is given back."""
    shop.census.enqueue(shop.Work(1))
    trial.wait_until_quiet()
    NAP.wait(REST_S)
    return probe.look()


def _watched(
    probe: Probe, shop: ModuleType, disturb: Disturbance, options: argparse.Namespace
) -> list[Sample]:
    """A look each LOOK_S until the time is over; every one is in the file of samples at once."""
    samples: list[Sample] = []
    began = at = time.monotonic()
    with (options.folder / "samples.jsonl").open("w") as lines:
        while (now := time.monotonic()) - began < options.minutes * 60:
            sample = probe.look()
            samples.append(sample)
            lines.write(json.dumps(sample) + "\n")
            lines.flush()
            if len(samples) % TOLD_EVERY == 1:
                _tell(f"{(now - began) / 60:5.1f} min", sample)
            _ask_for_census(shop)
            disturb.perhaps(now - began)
            at += LOOK_S
            NAP.wait(max(0.0, at - time.monotonic()))
    return samples


def _ask_for_census(shop: ModuleType) -> None:
    try:
        shop.census.enqueue(shop.Work(0))
    except EnqueueError:
        return  # The broker is away; the next one will do.


class Disturbance:
    """What a worker must bear now and then, in turn: a rebalance, and a broker that dies."""

    def __init__(self, trial: Trial, kafka: EmbeddedKafka, every_s: float) -> None:
        self._trial, self._kafka, self._every_s = trial, kafka, every_s
        self.done = 0

    def perhaps(self, at_s: float) -> None:
        """Disturb if it is time; blocks until the worker serves everything again."""
        if not self._every_s or at_s < (self.done + 1) * self._every_s:
            return
        self.done += 1
        if self.done % 2:
            guest = self._trial.fleet.start()
            wait_until(lambda: b"ready" in guest.log.read_bytes(), "it serves", limit_s=SERVES_S)
            NAP.wait(GUEST_S)
            self._trial.fleet.drain(guest)
        else:
            self._kafka.kill(1)
            self._kafka.restart(1)
        _say(f"           {'a worker came and went' if self.done % 2 else 'the broker died'}")


def _growth(judged: Sequence[Sample], bound: float) -> tuple[dict[str, object], list[str]]:
    """What the samples after the warm-up tell, and what is wrong with it."""
    if len(judged) < 2 * STRETCHES:
        return {}, [f"{len(judged)} samples after the warm-up are too few for a verdict"]
    memory = trend([(sample["at_s"], sample["rss_mb"]) for sample in judged])
    tables = [s["tables_mb"] for s in judged if s["tables_mb"] is not None]
    besides = [
        (s["at_s"], s["rss_mb"] - s["tables_mb"]) for s in judged if s["tables_mb"] is not None
    ]
    if len(besides) < 2 * STRETCHES:
        return {}, [f"the worker told the memory of its tables {len(besides)} times only"]
    own = trend(besides)
    counted = [(s["at_s"], float(s["objects"])) for s in judged if s["objects"] is not None]
    objects = trend(counted) if len(counted) >= 2 * STRETCHES else None
    faults = []
    # Tables have a bound of their own, which they come near as rows come in: that is no leak.
    if own.at_most > bound:
        faults.append(f"memory: {own} MB an hour besides tables; {bound:g} can be borne")
    if max(tables) > TABLES_MB:
        faults.append(f"tables: {max(tables):.1f} MB in memory; they are to keep to {TABLES_MB:g}")
    half = len(judged) // 2
    for what in ("threads", "descriptors"):
        # What a disturbance adds or takes goes again; the middle moves only by what stays.
        first, last = (median(s[what] for s in part) for part in (judged[:half], judged[half:]))
        if last > first + ROOM:
            faults.append(f"{what}: median {first:g} in the first half, {last:g} in the second")
    if judged[-1]["uncollectable"]:
        faults.append(f"{judged[-1]['uncollectable']} objects that the collector cannot free")
    used = (judged[-1]["cpu_s"] - judged[0]["cpu_s"]) / (judged[-1]["at_s"] - judged[0]["at_s"])
    _say(
        f"{len(judged)} samples: memory {memory} MB an hour (95 %), {own} besides tables, which "
        f"had {min(tables):.1f} to {max(tables):.1f} MB; objects {objects} an hour, "
        f"{used:.1%} of a core"
    )
    spans: Mapping[str, object] = {
        what: [min(s[what] for s in judged), max(s[what] for s in judged)]
        for what in ("rss_mb", "children_mb", "threads", "descriptors")
    }
    return {
        "mb_an_hour": asdict(memory),
        "mb_an_hour_besides_tables": asdict(own),
        "tables_mb": [min(tables), max(tables)],
        "objects_an_hour": asdict(objects) if objects else None,
        "cores": used,
        **spans,
    }, faults


def _version() -> str:
    argv = [sys.executable, "-m", "jobstream", "--version"]
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout.strip()


def _tell(when: str, sample: Sample) -> None:
    _say(
        f"{when}: {sample['rss_mb']:.1f} MB, children {sample['children_mb']:.0f} MB, "
        f"{sample['threads']} threads, {sample['descriptors']} descriptors, "
        f"{sample['dedup_rows']} rows, of them {sample['tables_mb'] or 0.0:.1f} MB in memory, "
        f"lag {sample['lag']}, {sample['objects']} objects"
    )


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
