"""Checks each topic, and publishes each schema, before a client uses it for the first time."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from jobstream.enqueue.acks import NOT_WRITTEN, Waiter, left_s, retold
from jobstream.enqueue.sending import submit
from jobstream.enqueue.topic_check import check_topic, missing
from jobstream.errors import EnqueueError

if TYPE_CHECKING:
    from jobstream.enqueue.composing import JobKind
    from jobstream.enqueue.transport import Transport
    from jobstream_processors.ports import Outgoing

SCHEMA_AGAIN_S = 600.0
"""How often a producer publishes a schema again, in case its topic was made anew."""


class FirstUses:
    """Remembers what one client has used before. Safe to use from any thread."""

    def __init__(self, transport: Transport, schemas_topic: str, timeout_s: float) -> None:
        self._transport = transport
        self._schemas_topic = schemas_topic
        self._timeout_s = timeout_s
        self.over: dict[tuple[str, bytes], float] = {}
        """Until when jobs go to a topic with a schema (by fingerprint) without more ado."""
        self._known: dict[bytes, float] = {}
        """Schemas that were published, and when they are to be again."""
        self._checked: set[str] = set()

    def prepare(self, kind: JobKind, record: Outgoing, until: float) -> None:
        """Check the topic and publish the schema, where that was not done yet. Blocks."""
        plan, schema = kind.plan, kind.codec.schema
        # A job that waits on a rung first comes to its queue's partition all the same.
        for topic in {plan.topic, record.topic} - self._checked:
            check_topic(self._transport, plan, topic, until)
            self._checked.add(topic)
        again = self._known.get(schema.fingerprint)
        if again is None or until >= again:
            # At the first enqueue: declaring a job type needs no follower of topics.
            from jobstream.kafka.follow.schema_topic import schema_record  # noqa: PLC0415 - as said

            told = schema_record(self._schemas_topic, schema)
            if again is None:
                self._publish(schema.job_type, told, until)
            else:
                # Most likely it is there: the job does not wait for the answer.
                with contextlib.suppress(EnqueueError):
                    self._transport.submit(told, _unheard)
            self._known[schema.fingerprint] = again = until + SCHEMA_AGAIN_S
        self.over[record.topic, schema.fingerprint] = again

    def _publish(self, job_type: str, told: Outgoing, until: float) -> None:
        if not self._transport.partitions(self._schemas_topic, left_s(until)):
            raise missing(self._schemas_topic)
        waiter = Waiter()
        try:
            submit(self._transport, told, waiter.done, until)
            self._transport.serve(waiter.pending, until)
            waiter.wait(until, self._timeout_s)
        except EnqueueError as error:
            text = f"the schema of {job_type!r}: {error}; {NOT_WRITTEN}"
            raise retold(error, text, may_be_written=False) from error.__cause__


def _unheard(_error: Exception | None, _partition: int, _offset: int) -> None:
    """Take the report on a record that no caller waits for."""
