"""One app on trial on a real Kafka: topics, workers to be broken, and the verdict at the end.

It knows when everything is quiet, what became of each job, and which letters lie open. What is
done to the workers is the test's own choice; nothing here breaks anything.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.harness.group_lag import GroupLag
from tests.harness.waiting import wait_until

from jobstream.errors import BrokerRefused, BrokerUnavailable
from jobstream.kafka.client.admin import Admin
from jobstream.kafka.follow.topic_reader import KafkaLog
from jobstream.testing.audit import audit
from jobstream.testing.ledger import Ledger
from jobstream.testing.rows import Rows
from jobstream.topics.apply import apply, survey
from jobstream.topics.names import delay_group, offsets_topic, worker_group

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator
    from pathlib import Path

    from tests.harness.fleet import Fleet
    from tests.harness.group_lag import Standing
    from tests.harness.stillness import Stillness

    from jobstream.app import App
    from jobstream.testing.audit import Audit
    from jobstream.testing.rows import StampedRow
    from jobstream_processors.ports import Record
    from jobstream_processors.ports import TopicPartition as Place

QUIET_LIMIT_S = 300.0
"""Guards against hanging only: long enough for a busy machine."""


class Trial:
    """An app, its fleet of workers and the ledger that their handlers write."""

    def __init__(self, app: App, fleet: Fleet, ledger: Path, stillness: Stillness) -> None:
        """Put parts together; nothing is sent. `ledger` is the folder the handlers write to."""
        self.app = app
        self.fleet = fleet
        self.stillness = stillness
        self.ledger = Ledger(ledger)
        self.progress = Progress(ledger)
        options = app.settings.client_options()
        self.log = KafkaLog(options)
        self.lag = GroupLag(options)
        self._plans = app.plans()

    def create_topics(self) -> None:
        """Create the app's topics and set its groups' sessions; blocks until they can be seen.

        Raises what the cluster refuses; a broker that is slow to show them is asked once more.
        """
        app, admin = self.app, Admin(self.app.settings)
        try:
            apply(survey(admin, app.name, app.queues.values(), app.settings), admin)
        except BrokerUnavailable:
            apply(survey(admin, app.name, app.queues.values(), app.settings), admin)

    @property
    def queue_places(self) -> list[Place]:
        """Every partition of every queue in use."""
        return [(plan.topic, p) for plan in self._plans.values() for p in range(plan.partitions)]

    @property
    def rung_places(self) -> list[Place]:
        """Every partition of every rung in use."""
        rungs = [rung for plan in self._plans.values() for rung in plan.rungs.values()]
        return [(topic, p) for topic, partitions in rungs for p in range(partitions)]

    def standings(self) -> dict[Place, Standing]:
        """Where workers and delayers stand in every partition."""
        app = self.app.name
        return {
            **self.lag.standings(worker_group(app), self.queue_places),
            **self.lag.standings(delay_group(app), self.rung_places),
        }

    def wait_until_quiet(self, limit_s: float = QUIET_LIMIT_S) -> None:
        """Block until nothing is left to do: every queue and rung is finished and committed.

        Proves it by two looks between which nothing was written. Raises AssertionError. Members
        that left for a good reason are started anew meanwhile, as by `replace_left`.
        """
        seen: dict[Place, Standing] = {}

        def quiet() -> bool:
            nonlocal seen
            self.replace_left()
            try:
                before, seen = seen, self.standings()
            except (BrokerUnavailable, BrokerRefused):
                self.lag.reconnect()  # A partition has changed its leader: ask again.
                return False
            return before == seen and not any(standing.lag for standing in seen.values())

        try:
            wait_until(quiet, "everything is quiet", limit_s=limit_s, every_s=0.3)
        except AssertionError as error:
            behind = {place: at for place, at in seen.items() if at.lag}
            shown = [*self.fleet.alive, *self.fleet.left]
            tails = "\n".join(f"{m}, exit code {m.exit_code}:\n{m.tail()}" for m in shown)
            message = f"{error}; behind are {behind}\n{tails}"
            raise AssertionError(message) from error

    def replace_left(self) -> None:
        """As the fleet does; a machine that stood still excuses whoever left."""
        self.fleet.replace_left(excused=bool(self.stillness.seen))

    def rows(self) -> Iterator[StampedRow]:
        """All rows in the dedup topics; blocks while it reads."""
        return Rows(self.log, {p.dedup: p.partitions for p in self._plans.values()}).new()

    def records(self, topic: str, partitions: int) -> Iterator[Record]:
        """All records in a topic; blocks while it reads."""
        for partition in range(partitions):
            place = (topic, partition)
            for batch in self.log.read(place, *self.log.span(place)):
                yield from batch

    def forget_mirrors(self) -> None:
        """Delete every record of the offsets topic, as if it had been lost with its disks."""
        topic, admin = offsets_topic(self.app.name), Admin(self.app.settings)
        # Kafka deletes records by hand only where the policy allows deletion.
        admin.alter_topic(topic, {"cleanup.policy": "delete"})
        self.lag.delete_records((topic, p) for p in range(self.log.partitions(topic)))
        admin.alter_topic(topic, {"cleanup.policy": "compact"})

    def letters(self) -> dict[tuple[str, int], str]:
        """(job id, redrive) → the reason it died for, of every letter; written twice counts once.

        A letter without a trusted id goes under the place it came from.
        """
        found: dict[tuple[str, int], str] = {}
        for plan in self._plans.values():
            for record in self.records(plan.dlq, plan.partitions):
                job_id, _, redrive = (record.key() or b"").decode().rpartition(":")
                headers = dict(record.headers() or [])
                found[job_id, int(redrive)] = (headers.get("js-reason") or b"").decode()
        return found

    def letters_by_id(self) -> dict[str, str]:
        """Job id → the reason of its newest letter."""
        return {job_id: reason for (job_id, _), reason in sorted(self.letters().items())}

    def audit(self, enqueued: Iterable[str], *, hold_key: Collection[str] = ()) -> Audit:
        """The verdict by ledger, rows, what was done to the fleet and which sessions it lost.

        Blocks while it reads.
        """
        lost = [kill for member in self.fleet.members for kill in member.losses()]
        cuts = [*self.fleet.kills, *self.stillness.seen, *lost]
        return audit(self.ledger, self.rows(), enqueued, cuts, hold_key=hold_key)


class Progress:
    """Counts the lines of a ledger as they are written; reads each only once."""

    def __init__(self, ledger: Path) -> None:
        self._folder = ledger
        self._read: dict[Path, int] = {}
        self.starts: dict[str, list[int]] = {}
        """Job id → the process ids that started it, oldest first within each process."""
        self.ends = 0
        self.pids: dict[int, int] = {}
        """Process id → starts in it or in its children."""

    def look(self) -> Progress:
        """Take in what was written since the last look."""
        for path in self._folder.glob("*.jsonl"):
            with path.open("rb") as lines:
                lines.seek(self._read.get(path, 0))
                for line in lines:
                    if not line.endswith(b"\n"):
                        break
                    self._read[path] = self._read.get(path, 0) + len(line)
                    self._take(json.loads(line))
        return self

    def _take(self, entry: dict[str, object]) -> None:
        if entry["kind"] == "end":
            self.ends += 1
        if entry["kind"] == "start":
            pid, parent = int(str(entry["pid"])), int(str(entry["parent"]))
            self.starts.setdefault(str(entry["job_id"]), []).append(pid)
            self.pids[pid] = self.pids.get(pid, 0) + 1
            self.pids[parent] = self.pids.get(parent, 0) + 1
