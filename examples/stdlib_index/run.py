"""One run of the demo: enqueue, watch, kill a worker half-way, and judge what came of it.

The verdict comes from two witnesses held against each other: the ledger that the handlers wrote,
and the rows in Kafka. Import this only once the settings stand in the environment.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from typing import TYPE_CHECKING

from examples.stdlib_index import store, summary
from examples.stdlib_index.app import DATABASE, IndexModule, app, index_module, ledger
from examples.stdlib_index.fleet import APP
from examples.stdlib_index.watch import Watch, settled_rows
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from jobstream.testing.audit import audit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from examples.stdlib_index.fleet import Fleet
    from examples.stdlib_index.sources import Source
    from rich.console import Console

LIMIT_S = 900.0
STALL_S = 90.0
"""A killed worker's partitions are served again within seconds; after this, nobody serves them."""
LOOK_EVERY_S = 1.0
LARGEST = 10


class Demo:
    """From an empty cluster to the verdict."""

    def __init__(self, console: Console, fleet: Fleet, sources: Sequence[Source]) -> None:
        self._console = console
        self._fleet = fleet
        self._sources = sources

    def run(self) -> int:
        """Do it all; blocks until everything is settled, about a minute. Returns the exit code.

        Gives up after LIMIT_S, or STALL_S without a job settled: what has not ended then is lost.

        Raises WorkerDied if a worker ends that nobody killed.
        """
        try:
            return self._run(self._fleet)
        finally:
            app.close()

    def _run(self, fleet: Fleet) -> int:
        store.create(DATABASE)
        fleet.command("topics", "apply", APP)
        fleet.start()
        began = time.monotonic()
        seen = Watch(app, ledger, self._enqueue())
        self._follow(seen)
        seconds = time.monotonic() - began
        fleet.stop()
        seen.look()
        verdict = audit(seen.entries, settled_rows(app), seen.ids, fleet.kills)
        letters = fleet.command("dlq", "list", "--app", app.name, "--json", "--limit", "1000")
        outcome = summary.Outcome(
            audit=verdict,
            entries=seen.entries,
            letters=summary.parse_letters(letters),
            packages=store.largest(DATABASE, LARGEST),
            modules_read=store.modules_read(DATABASE),
            kills=len(fleet.kills),
            seconds=seconds,
        )
        summary.show(self._console, outcome)
        print(summary.last_line(outcome), flush=True)
        return 1 if verdict.lost or verdict.doubled else 0

    def _enqueue(self) -> list[str]:
        """One job per file; the first file of a package asks for the package's report."""
        sizes = Counter(source.package for source in self._sources)
        jobs = [
            IndexModule(s.path, s.module, s.package, sizes.pop(s.package, 0)) for s in self._sources
        ]
        return index_module.enqueue_many(jobs, idempotency_key=lambda job: job.path)

    def _follow(self, seen: Watch) -> None:
        """Show how it goes on until all is settled, or nothing is any more; kill half-way."""
        columns = (
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.description}"),
        )
        with Progress(*columns, console=self._console) as bar:
            task = bar.add_task("waiting for the workers", total=len(seen.ids))
            end = time.monotonic() + LIMIT_S
            stalled = time.monotonic() + STALL_S
            while not seen.is_over and time.monotonic() < min(end, stalled):
                self._fleet.check()
                before = seen.settled
                threading.Event().wait(LOOK_EVERY_S)
                seen.look()
                if seen.settled > before:
                    stalled = time.monotonic() + STALL_S
                dead = sum(state == "dead" for state in seen.ends.values())
                text = f"{dead} dead, {seen.moves} retries and snoozes"
                bar.update(task, completed=seen.settled, total=len(seen.ids), description=text)
                if not self._fleet.kills and seen.settled * 2 >= len(self._sources):
                    self._kill(seen)

    def _kill(self, seen: Watch) -> None:
        """End the worker that has most to lose."""
        numbers = {pid: number for number, pid in self._fleet.pids().items()}
        victim = seen.busiest(numbers)
        self._fleet.kill_and_replace(numbers[victim])
        self._console.print(f"kill -9 of worker {numbers[victim]} (pid {victim}), started anew")
