"""Checks before a producer's first record that keys lead to the partitions they always did."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from jobstream.enqueue.acks import left_s
from jobstream.errors import EnqueueError, EnqueueTimeout, TopicMismatch, TopicMissing

if TYPE_CHECKING:
    from jobstream.enqueue.transport import Transport
    from jobstream_processors.queue_plan import QueuePlan

log = logging.getLogger("jobstream.kafka")


def check_topic(transport: Transport, plan: QueuePlan, topic: str, until: float) -> None:
    """Raise TopicMissing, or TopicMismatch where the queue has another count than it declares.

    Blocks until the monotonic time `until` at most; raises EnqueueTimeout then.
    """
    count = transport.partitions(topic, left_s(until))
    if not count:
        raise missing(topic)
    if topic != plan.topic or count == plan.partitions:
        return
    if count < plan.partitions:
        # Nothing but a whole multiple can be grown to.
        grow = f"a multiple of {count}, and then grow the queue"
        if plan.partitions % count == 0:
            grow = "grow the queue"
        plural = "s" if count > 1 else ""
        message = (
            f"topic {topic} has {count} partition{plural}, queue {plan.name!r} declares "
            f"{plan.partitions}, so nothing was written; declare {count}, or {grow} "
            f"with: jobstream topics apply MODULE:APP --grow {plan.name}"
        )
        raise TopicMismatch(message)
    if (had := _had(transport, plan, until)) > plan.partitions:
        message = (
            f"queue {plan.name!r} has {had} partitions and declares {plan.partitions}, so nothing "
            f"was written: a queue never shrinks, since keys would lead elsewhere; declare {had}"
        )
        raise TopicMismatch(message)
    extra = {"topic": topic, "partitions": count, "declared": plan.partitions}
    log.warning("partitions_undeclared", extra=extra)


def missing(topic: str) -> TopicMissing:
    """The error for a topic that is not there."""
    return TopicMissing(
        f"topic {topic} does not exist, so nothing was written; create it with: "
        "jobstream topics apply MODULE:APP"
    )


def _had(transport: Transport, plan: QueuePlan, until: float) -> int:
    """How many partitions the queue has had: those of its dead letters, which grow last.

    0 where this producer may not see them: then it goes by what its code declares.
    """
    try:
        return transport.partitions(plan.dlq, left_s(until))
    except EnqueueTimeout:
        raise
    except EnqueueError:
        return 0
