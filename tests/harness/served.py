"""An app on a real Kafka, served by roles in a thread of this process, and what becomes of records.

For tests that put anything at all on a topic and wait for its end. It judges nothing itself and
starts no broker. Handlers run inside the test's process: what kills a process belongs in a `Fleet`.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from tests.harness.waiting import wait_until

from jobstream.kafka.client.admin import Admin
from jobstream.kafka.client.broker_clock import BrokerClock
from jobstream.kafka.follow.topic_reader import KafkaLog
from jobstream.kafka.produce.sink import KafkaSink
from jobstream.roles.process import Roles
from jobstream.testing.rows import Rows, ends
from jobstream.topics.apply import apply, survey
from jobstream_processors.ports import Outgoing

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from jobstream.app import App
    from jobstream_processors.core.headers import Headers
    from jobstream_processors.ports import Record
    from jobstream_processors.queue_plan import QueuePlan

END_LIMIT_S = 180.0
"""Guards against hanging only, so it is long enough for a busy machine."""
STOP_LIMIT_S = 180.0


@dataclass(frozen=True, slots=True)
class Letter:
    """A dead letter as it lies in its topic."""

    id: str
    """The job's id, or `@topic:partition:offset` of a record without a trusted one."""
    redrive: int
    value: bytes | None
    headers: Mapping[str, bytes | None]
    partition: int

    def told(self, header: str) -> str:
        """The text of header `js-<header>`, "" if there is none."""
        return (self.headers.get(f"js-{header}") or b"").decode()

    @property
    def reason(self) -> str:
        """Why it died."""
        return self.told("reason")


class Served:
    """One app with its topics, and roles that can be started and stopped. Used by one thread."""

    def __init__(self, app: App) -> None:
        """Create the app's topics; starts nothing. Blocks until they can be seen."""
        self.app = app
        admin = Admin(app.settings)
        self.plans: Mapping[str, QueuePlan] = app.plans()
        queues = [app.queues[name] for name in self.plans]
        apply(survey(admin, app.name, queues, app.settings, schedules=app.has_schedules), admin)
        options = app.settings.client_options()
        self.log = KafkaLog(options)
        self._sink = KafkaSink(options, BrokerClock())
        topics = {plan.dedup: plan.partitions for plan in self.plans.values()}
        self._rows = Rows(self.log, topics)
        self._ends: dict[str, str] = {}
        self._roles: Roles | None = None
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def start(self, only: str | None = None) -> None:
        """Start worker and delayer in a thread of their own; returns at once."""
        roles = self._roles = Roles(self.app, only=only)

        def serve() -> None:
            try:
                roles.run()
            except BaseException as error:  # noqa: BLE001 - raised where the test waits
                self._error = error

        self._thread = threading.Thread(target=serve, name="served", daemon=True)
        self._thread.start()

    def stop(self, limit_s: float = STOP_LIMIT_S) -> None:
        """Drain and wait until the roles have left; raises what they raised, or TooLate."""
        if self._roles is not None:
            self._roles.stop()
        self.left(limit_s)

    def left(self, limit_s: float = STOP_LIMIT_S) -> None:
        """Wait until the roles have left by themselves, as `stop` does."""
        thread = self._thread
        if thread is not None:
            wait_until(lambda: not thread.is_alive(), "the roles have left", limit_s=limit_s)
            self._roles = self._thread = None
        self._check()

    def close(self) -> None:
        """Stop, and close every client made here."""
        try:
            self.stop()
        finally:
            self.app.close()
            self._sink.close()

    def put(
        self,
        topic: str,
        value: bytes | None,
        *,
        key: bytes | None = None,
        partition: int = 0,
        headers: Headers | None = None,
    ) -> int:
        """Append a record as any other client could; returns its offset."""
        record = Outgoing(topic, key, value, partition, headers)
        return self._sink.publish([record])[topic, partition]

    def end_of(self, job_id: str, limit_s: float = END_LIMIT_S, *, after: str = "") -> str:
        """Wait until a row ends the job, in another state than `after`; returns the state."""

        def ended() -> str:
            self._check()
            if self._ends.get(job_id, after) == after:
                self._ends |= ends(self._rows.new())
            state = self._ends.get(job_id, "")
            return "" if state == after else state

        return wait_until(ended, f"{job_id} has ended", limit_s=limit_s)

    def letter(
        self, wanted: Callable[[Letter], bool], what: str, limit_s: float = END_LIMIT_S
    ) -> Letter:
        """Wait for the first dead letter that is `wanted`."""

        def found() -> Letter | None:
            self._check()
            return next(filter(wanted, self.letters()), None)

        letter = wait_until(found, what, limit_s=limit_s)
        assert letter is not None
        return letter

    def letter_of(self, job_id: str, limit_s: float = END_LIMIT_S) -> Letter:
        """Wait for the first dead letter of that id."""
        return self.letter(lambda letter: letter.id == job_id, f"{job_id} is dead", limit_s)

    def letters(self) -> list[Letter]:
        """Every dead letter of every queue; blocks while it reads."""
        return [
            _letter(record)
            for plan in self.plans.values()
            for record in self.records(plan.dlq, plan.partitions)
        ]

    def records(self, topic: str, partitions: int) -> list[Record]:
        """Every record of a topic; blocks while it reads."""
        found: list[Record] = []
        for place in ((topic, partition) for partition in range(partitions)):
            for batch in self.log.read(place, *self.log.span(place)):
                found += batch
        return found

    def _check(self) -> None:
        if self._error is not None:
            error, self._error = self._error, None
            raise error


def _letter(record: Record) -> Letter:
    job_id, _, redrive = (record.key() or b"").decode().rpartition(":")
    headers = dict(record.headers() or [])
    return Letter(job_id, int(redrive), record.value(), headers, record.partition() or 0)
