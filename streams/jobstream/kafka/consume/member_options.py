"""How a member of a group consumes: the options of its client, and what its errors mean."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from confluent_kafka import KafkaError

from jobstream.errors import BrokerTooOld, SourceFailed
from jobstream.kafka.client.error_kinds import is_fatal
from jobstream_processors.assignment.departures import GROUP_MARGIN_MS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from confluent_kafka import Message

log = logging.getLogger("jobstream.kafka")

CONSUMER: Mapping[str, Any] = {
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    # A place that is not in the log must stop its partition, not skip jobs.
    "auto.offset.reset": "error",
    "queued.min.messages": 3_000,
    "queued.max.messages.kbytes": 2_048,
    # The default of a second leaves gaps whenever the local queue was full.
    "fetch.queue.backoff.ms": 10,
    "fetch.wait.max.ms": 100,
    "socket.timeout.ms": 10_000,
}
FETCH: Mapping[str, Any] = {
    # What the queue above passes its bound by: the library's default is 50 MB for an answer, and a
    # backlog fills it. Jobs in hand are what hides the way to the broker, not bytes in the client.
    "fetch.max.bytes": 2_097_152,
}
"""What options of the user come before."""
REBALANCE_MS = 300_000
"""How long a group waits for a partition that is to be given back, unless a drain needs more."""
_TOO_OLD = [
    # What broke a consumer is told in words only; these are the library's own.
    KafkaError(code).str()
    for code in (KafkaError.UNSUPPORTED_VERSION, KafkaError._UNSUPPORTED_FEATURE)  # noqa: SLF001 - its name
]


def rebalance_ms(drain_ms: int) -> int:
    """How long the group is to wait for what is given back, where jobs may go on for `drain_ms`."""
    return max(REBALANCE_MS, drain_ms + 2 * GROUP_MARGIN_MS)


def check(message: Message) -> None:
    """Raise what makes going on wrong, or log it; nothing for a record.

    A topic that was deleted is no reason to end: the group takes its partitions away. Raises
    BrokerTooOld, SourceFailed.
    """
    error = message.error()
    if error is None:
        return
    place = f"{message.topic()} [{message.partition()}]"
    code = error.code()
    if is_fatal(error) and any(text in error.str() for text in _TOO_OLD):
        raise BrokerTooOld(error.str())
    if is_fatal(error) or code in {
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.GROUP_AUTHORIZATION_FAILED,
    }:
        text = f"{place}: {error.str()}"
        raise SourceFailed(text)
    log.warning("consumer_error", extra={"reason": error.str(), "code": error.name()})
