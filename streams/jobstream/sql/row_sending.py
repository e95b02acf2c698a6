"""Publishes rows of the outbox: topics are checked and schemas published before, as for enqueues.

Rows of a topic that takes none are left where they are for a while, and hold up no others.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any

from jobstream.enqueue.topic_check import check_topic
from jobstream.errors import EnqueueError, EnqueueTimeout, TopicError
from jobstream.kafka.follow.schema_topic import schema_record
from jobstream.sql.row_records import RefusedRow, RowReader
from jobstream.topics.names import schemas_topic
from jobstream_processors.errors import PublishFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sqlalchemy import Row

    from jobstream.app import App
    from jobstream.enqueue.transport import Transport
    from jobstream_processors.errors import PublishFailure
    from jobstream_processors.ports import Outgoing, Sent, Sink
    from jobstream_schemas import JobSchema

log = logging.getLogger("jobstream.relay")

AGAIN_S = 600.0
"""How long a topic and a schema are taken for granted: either may be made anew."""
CHECK_S = 5.0
HELD_S_MIN, HELD_S_MAX = 1.0, 30.0
OF_THE_RECORD = frozenset(("INVALID_RECORD", "INVALID_MSG_SIZE", "INVALID_TIMESTAMP"))
"""Failures that are due to the record itself, beside those of its size: no repeat can help."""


class BrokerAway(Exception):
    """No broker answers: nothing can be published to any topic."""


class HeldTopics:
    """Topics that take nothing just now, each with a pause that grows from try to try."""

    def __init__(self, now_s: Callable[[], float]) -> None:
        self._now_s = now_s
        self._until_s: dict[str, float] = {}
        self._pause_s: dict[str, float] = {}
        self.reasons: dict[str, str] = {}

    def hold(self, topic: str, reason: str) -> None:
        """Leave its rows for a while."""
        pause_s = min(HELD_S_MAX, self._pause_s.get(topic, HELD_S_MIN / 2) * 2)
        self._pause_s[topic] = pause_s
        self._until_s[topic] = self._now_s() + pause_s
        self.reasons[topic] = reason
        extra = {"topic": topic, "reason": reason, "again_s": pause_s}
        log.warning("outbox_topic_held", extra=extra)

    def works(self, topic: str) -> None:
        """It takes records again."""
        for each in (self._until_s, self._pause_s, self.reasons):
            each.pop(topic, None)

    def now(self) -> list[str]:
        """The topics that are left alone at this moment."""
        at_s = self._now_s()
        return [topic for topic, until_s in self._until_s.items() if until_s > at_s]


class RowsSent:
    """What one turn found out of its rows."""

    def __init__(self) -> None:
        self.rows: list[Row[Any]] = []
        """What is handed over, in order."""
        self.records: list[Outgoing] = []
        self.refused: dict[int, str] = {}
        """By row: why it can't be published as it is."""
        self.gone: list[int] | None = None
        """Rows that Kafka has acknowledged; None while any has no answer."""
        self._sent: Sent | None = None

    def refuse(self, row: Row[Any], reason: str) -> None:
        """Set it aside with a reason that any database stores, whatever was quoted in it."""
        told = reason.encode("utf-8", "backslashreplace").decode()
        self.refused[row.n] = told.replace("\0", "\\0")

    def hand_over(self, sink: Sink) -> None:
        """Send the records."""
        self._sent = sink.send(self.records)

    def failures(self, timeout_s: float) -> Mapping[int, PublishFailure] | None:
        """What was not acknowledged, by index; None while there is no answer."""
        return self._sent.failures(timeout_s) if self._sent is not None else {}


class RowSender:
    """Publishes rows of one app. Belongs to one thread."""

    def __init__(
        self,
        app: App,
        sink: Sink,
        transport: Transport,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._plans = app.plans()
        self.types = list(app.jobs_by_name)
        self._reader = RowReader(self._plans, self.types, app.settings.enqueue_bytes_max)
        self._sink, self._transport = sink, transport
        self._schemas_topic = schemas_topic(app.name)
        self._now_s = now_s
        self._partitions: dict[str, int] = {}
        self._again_s: dict[object, float] = {}
        """By topic, and by fingerprint of a schema: when to look at it anew."""
        self.held = HeldTopics(now_s)

    def send(self, rows: Sequence[Row[Any]]) -> RowsSent:
        """Hand over what can be published. Blocks for topics and schemas not seen lately.

        Raises BrokerAway.
        """
        handed = RowsSent()
        left: set[str] = set()
        """A topic that took no row takes no later one: rows of a key keep their order."""
        for row in rows:
            try:
                record, schema = self._reader.record(row)
                if record.topic in left or not self._takes(record.topic, schema):
                    left.add(record.topic)
                    continue
                self._check_partition(record)
            except RefusedRow as error:
                handed.refuse(row, str(error))
                continue
            handed.rows.append(row)
            handed.records.append(record)
        handed.hand_over(self._sink)
        return handed

    def is_told(self, handed: RowsSent, limit_s: float) -> bool:
        """Whether there is an answer for every record, at most so long from now.

        Then what no repeat can help is refused, and topics of what else failed are held.
        """
        failures = handed.failures(limit_s)
        if failures is None:
            return False
        handed.gone = [row.n for index, row in enumerate(handed.rows) if index not in failures]
        for index, failure in failures.items():
            row = handed.rows[index]
            if _is_hopeless(failure):
                handed.refuse(row, f"Kafka refuses the record: {failure.reason}")
            elif row.topic not in self.held.now():
                self._again_s.pop(row.topic, None)
                self.held.hold(row.topic, failure.reason)
        for topic in {row.topic for row in handed.rows} - set(self.held.now()):
            self.held.works(topic)
        return True

    def _check_partition(self, record: Outgoing) -> None:
        count = self._partitions[record.topic]
        if record.partition not in range(count):
            message = f"{record.topic} has {count} partitions, and no {record.partition}"
            raise RefusedRow(message)

    def _takes(self, topic: str, schema: JobSchema) -> bool:
        """Whether the topic is as it should be, and the schema where workers find it.

        Raises RefusedRow for a schema that Kafka will never take, and BrokerAway.
        """
        now_s = self._now_s()
        if now_s < min(self._again_s.get(topic, 0.0), self._again_s.get(schema.fingerprint, 0.0)):
            return True
        plan, until = self._reader.plan_of[topic], time.monotonic() + CHECK_S
        try:
            for each in {plan.topic, topic}:
                check_topic(self._transport, plan, each, until)
            self._partitions[topic] = self._transport.partitions(topic)
            self._sink.publish([schema_record(self._schemas_topic, schema)])
        except EnqueueTimeout as error:
            raise BrokerAway(str(error)) from error
        except (EnqueueError, TopicError, PublishFailed) as error:
            if isinstance(error, PublishFailed) and any(map(_is_hopeless, error.failures.values())):
                message = f"Kafka refuses the schema of its job: {error}"
                raise RefusedRow(message) from error
            self.held.hold(topic, str(error))
            return False
        self._again_s[topic] = self._again_s[schema.fingerprint] = now_s + AGAIN_S
        return True


def _is_hopeless(failure: PublishFailure) -> bool:
    """Whether it is due to the record itself, so that no repeat can help."""
    return failure.too_large or failure.code in OF_THE_RECORD
