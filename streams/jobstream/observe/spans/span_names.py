"""The names that spans and their attributes go by: the messaging conventions, and our own.

The conventions are still in development, so that what a release calls a thing stands here and
nowhere else. No attribute ever holds a job's arguments or its key.
"""

from __future__ import annotations

SCOPE = "jobstream"
"""The instrumentation scope of every span."""

SYSTEM = "messaging.system"
KAFKA = "kafka"
OPERATION = "messaging.operation.name"
OPERATION_TYPE = "messaging.operation.type"
TOPIC = "messaging.destination.name"
PARTITION = "messaging.destination.partition.id"
OFFSET = "messaging.kafka.offset"
GROUP = "messaging.consumer.group.name"
MESSAGE_ID = "messaging.message.id"
COUNT = "messaging.batch.message_count"
ERROR = "error.type"

JOB = "job.type"
QUEUE = "job.queue"
ATTEMPT = "job.attempt"
REDRIVE = "job.redrive"
OUTCOME = "job.outcome"
REASON = "job.reason"
DELAY_MS = "job.delay_ms"
COPY = "job.copy.topic"
LINK = "job.link"
BY_ENQUEUE, BY_ATTEMPT = "enqueue", "previous_attempt"

EXCEPTION = "exception"
DEAD_LETTER = "dead_letter"
COPIED = "copied"
AGAIN = "publish_failed"
