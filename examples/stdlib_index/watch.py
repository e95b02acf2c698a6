"""Watches the run from outside: rows as they are appended, and the ledger of the handlers."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from jobstream.kafka.follow.topic_reader import KafkaLog
from jobstream.testing.ledger import RETURNED
from jobstream.testing.rows import Rows, ends

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from jobstream import App
    from jobstream.testing.ledger import Entry, Ledger
    from jobstream.testing.rows import StampedRow


class Watch:
    """What has become of the jobs so far; `look` brings it up to date."""

    def __init__(self, app: App, ledger: Ledger, wanted: Iterable[str]) -> None:
        self._rows = rows_of(app)
        self._ledger = ledger
        self._wanted = list(wanted)
        self.ends: dict[str, str] = {}
        self.moves = 0
        self.entries: list[Entry] = []

    def look(self) -> None:
        """Read what is new; blocks for as long as that takes."""
        new = list(self._rows.new())
        for job_id, state in ends(new).items():
            self.ends.setdefault(job_id, state)
        self.moves += sum(stamped.row.kind == "moved" for stamped in new)
        # After the rows: whoever is settled by now wrote down before which jobs it enqueued.
        self.entries = list(self._ledger)

    @property
    def ids(self) -> list[str]:
        """Every job enqueued so far: by the demo, then by jobs."""
        children = [entry.job_id for entry in self.entries if entry.kind == "enqueue"]
        return list(dict.fromkeys([*self._wanted, *children]))

    @property
    def settled(self) -> int:
        """How many of them have ended."""
        return len(self.ends.keys() & set(self.ids))

    @property
    def is_over(self) -> bool:
        """Whether all have ended, and so nobody is left to enqueue more."""
        return self.settled == len(self.ids)

    def busiest(self, pids: Collection[int]) -> int:
        """The worker that has begun most runs it has not ended, itself or in a child process."""
        running: Counter[int] = Counter()
        for entry in self.entries:
            step = {"start": 1, "end": -1}.get(entry.kind, 0)
            running.update({entry.pid: step, entry.parent: step})
        return max(pids, key=lambda pid: running[pid])


def rows_of(app: App) -> Rows:
    """The rows of all queues of `app`, from the first one on."""
    plans = app.plans().values()
    log = KafkaLog(app.settings.client_options())
    return Rows(log, {plan.dedup: plan.partitions for plan in plans})


def settled_rows(app: App) -> list[StampedRow]:
    """Every row there is, read anew."""
    return list(rows_of(app).new())


def failures(entries: Iterable[Entry]) -> Counter[str]:
    """How often runs ended with which exception."""
    ended = (entry.how for entry in entries if entry.kind == "end")
    return Counter(how for how in ended if how != RETURNED)


def retries(entries: Iterable[Entry]) -> int:
    """How many runs failed for the moment: SQLite gave another writer its one lock."""
    return failures(entries)["OperationalError"]


def waits_ms(entries: Iterable[Entry]) -> list[int]:
    """From enqueue to first start, per job, sorted."""
    first: dict[str, int] = {}
    for entry in entries:
        if entry.kind == "start":
            wait = max(0, entry.at_ms - entry.enqueued_ms)
            first[entry.job_id] = min(wait, first.get(entry.job_id, wait))
    return sorted(first.values())
