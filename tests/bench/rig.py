"""The stand that measurements share: one broker of their own, a work folder, and child processes.

Everything it starts is ended with it, by process id. It measures nothing.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient
from tests.bench.jobs import Bench, notes
from tests.bench.worker import Report, Task

from jobstream.errors import BrokerUnavailable
from jobstream.kafka.client.admin import Admin
from jobstream.topics.apply import apply, survey
from jobstream.topics.names import parse, worker_group

if TYPE_CHECKING:
    from collections.abc import Sequence

CHILD_LIMIT_S = 400.0
TIMEOUT_S = 30.0
APPLY_ATTEMPTS = 3
ROOT = Path(__file__).resolve().parents[2]


class ChildFailed(Exception):
    """A measured process ended badly, or left jobs behind."""


@dataclass(frozen=True, slots=True)
class Rig:
    """Where measurements run. `quick` asks for smaller numbers."""

    bootstrap_servers: str
    folder: Path
    quick: bool
    broker_pids: tuple[int, ...] = ()
    beside: tuple[Path, ...] = ()
    """Other checkouts, whose workers are to be measured in the same run."""

    def size(self, full: int, quick: int) -> int:
        """The number of jobs to use."""
        return quick if self.quick else full

    def bench(
        self, name: str, partitions: int = 12, queues: int = 1, *, slim: bool = False
    ) -> Bench:
        """An app with its topics; blocks until they can be seen."""
        bench = Bench(f"bench-{name}", partitions, queues, slim=slim)
        settings, admin = bench.app.settings, Admin(bench.app.settings)
        for attempt in range(1, APPLY_ATTEMPTS + 1):
            try:
                apply(survey(admin, bench.app.name, bench.queues, settings), admin)
            except BrokerUnavailable:
                # The machine is busy; what was done already is done.
                if attempt == APPLY_ATTEMPTS:
                    raise
            else:
                break
        return bench

    def filled(self, name: str, kind: str, count: int, partitions: int = 12) -> Bench:
        """An app with `count` jobs of type `kind` waiting."""
        bench = self.bench(name, partitions)
        bench.types[kind].enqueue_many(notes(count))
        return bench

    def drop(self, bench: Bench) -> None:
        """Delete the app's topics: the broker's heap is small."""
        bench.app.close()
        admin = AdminClient({"bootstrap.servers": self.bootstrap_servers})
        topics = admin.list_topics(timeout=TIMEOUT_S).topics
        mine = [t for t in topics if (p := parse(t)) is not None and p.app == bench.app.name]
        for deleted in admin.delete_topics(mine).values():
            deleted.result(TIMEOUT_S)

    def work(
        self,
        bench: Bench,
        count: int,
        *,
        limit_s: float = 300.0,
        metered: bool = True,
        served: int = 0,
        checkout: Path = ROOT,
        **env: str,
    ) -> Report:
        """Run a worker until it has settled `count` jobs; raises ChildFailed if it has not.

        Its return proves that they are committed, too.
        """
        with self.worker(
            bench,
            count,
            limit_s=limit_s,
            metered=metered,
            served=served,
            checkout=checkout,
            **env,
        ) as worker:
            report = worker.report()
        if report.jobs >= count:
            self._must_be_committed(bench, count)
        return report

    def worker(
        self,
        bench: Bench,
        count: int,
        *,
        limit_s: float = 300.0,
        metered: bool = True,
        together: str = "",
        served: int = 0,
        checkout: Path = ROOT,
        **env: str,
    ) -> WorkerProcess:
        """Start a worker that leaves when it has settled `count` jobs; see `Task` for the rest.

        With a `checkout`, by its code: its worker must know the same tasks.
        """
        app, partitions = bench.app.name, bench.queue.partitions
        task = Task(app, partitions, count, limit_s, metered, together)
        task = replace(task, queues=len(bench.queues), slim=bench.slim, served=served)
        python = sys.executable if checkout is ROOT else str(checkout / ".venv/bin/python")
        argv = [python, "-m", "tests.bench.worker", json.dumps(asdict(task))]
        return WorkerProcess(argv, self.folder / f"{bench.app.name}.log", env, checkout)

    def bare(self, loop: str, bench: Bench, count: int) -> Report:
        """Run a bare loop over the same records."""
        argv = [sys.executable, "-m", "tests.bench.bare", loop, bench.app.name]
        argv += [str(bench.queue.partitions), str(count)]
        with WorkerProcess(argv, self.folder / f"bare-{bench.app.name}.log", {}) as process:
            return process.report()

    def committed(self, bench: Bench) -> int:
        """How many jobs of it are finished and committed."""
        group = worker_group(bench.app.name)
        options = {"bootstrap.servers": self.bootstrap_servers, "group.id": group}
        consumer = Consumer(options)
        places = [
            TopicPartition(plan.topic, partition)
            for plan in bench.app.plans().values()
            for partition in range(plan.partitions)
        ]
        try:
            found = consumer.committed(places, TIMEOUT_S)
        finally:
            consumer.close()
        return sum(max(0, place.offset) for place in found)

    def _must_be_committed(self, bench: Bench, count: int) -> None:
        committed = self.committed(bench)
        if committed < count:
            message = f"{bench.app.name}: {count} jobs finished, only {committed} committed"
            raise ChildFailed(message)


class WorkerProcess:
    """A measured process; killed if it is still there when the block ends."""

    def __init__(
        self, argv: Sequence[str], log: Path, env: dict[str, str], folder: Path = ROOT
    ) -> None:
        self._log = log
        with log.open("ab") as errors:
            self._process = subprocess.Popen(
                argv,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                env={**os.environ, **env},
                text=True,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()

    def report(self) -> Report:
        """Block until the process has left; returns what it measured. Raises ChildFailed."""
        output, _ = self._process.communicate(timeout=CHILD_LIMIT_S)
        if self._process.returncode or not output.strip():
            tail = self._log.read_text(errors="replace")[-2_000:]
            message = f"{self._process.args!r} ended with {self._process.returncode}: {tail}"
            raise ChildFailed(message)
        found: dict[str, Any] = json.loads(output.strip().splitlines()[-1])
        return Report(**found)
