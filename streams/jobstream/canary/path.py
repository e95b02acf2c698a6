"""The way a probe takes through Kafka: enqueue as any client does, then read the queue's rows.

It joins no group and commits nothing. Of the dedup topic only the probe's own partition is read,
and only from its end, while the probe lasts: a canary beside a busy queue stays cheap.
"""

from __future__ import annotations

import os
import socket
import time
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import uuid_utils
from confluent_kafka import KafkaError, KafkaException, TopicPartition

from jobstream.canary.canary_job import CANARY, Probe, codec
from jobstream.canary.probing import ENQUEUE, Probed, end_of, id_on, verdict
from jobstream.enqueue.client import Client
from jobstream.enqueue.composing import JobKind, When
from jobstream.errors import BrokerUnavailable, JobstreamError
from jobstream.kafka.client.construct import outsider
from jobstream.kafka.client.error_kinds import is_passing
from jobstream.kafka.produce.producer import KafkaTransport
from jobstream.topics.names import schemas_topic
from jobstream_processors.queue_plan import QueuePlan

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from jobstream.operate.layout import QueueTopics
    from jobstream.settings import Settings
    from jobstream_processors.ports import Record
    from jobstream_processors.ports import TopicPartition as Place

EXPIRES_IN = "1h"
"""A canary job that did not run expires after this. Long, as two clocks may be minutes apart."""
ASK_S = 5.0
POLL_S = 0.1
BATCH = 500
WHEN = When(expires_in=EXPIRES_IN)
ROWS: Mapping[str, Any] = {
    "auto.offset.reset": "error",
    "enable.partition.eof": False,
    "queued.max.messages.kbytes": 4_096,
    "fetch.wait.max.ms": 100,
    "fetch.queue.backoff.ms": 10,
}


class ProbeRows:
    """Reads the rows of one partition from its end on. Used by one thread."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        """Prepare a consumer; nothing is sent yet."""
        self._options = options
        self._consumer = outsider(options, ROWS)

    def begin(self, place: Place) -> None:
        """Read from the present end of the partition; blocks for it, raises BrokerUnavailable."""
        # As a number: the end looked up after the enqueue could be behind the row.
        try:
            asked = TopicPartition(*place)
            _, end = self._consumer.get_watermark_offsets(asked, ASK_S, cached=False)
        except KafkaException as error:
            # A client may go on asking the broker it knew; a new one looks for the leader.
            self._consumer.close()
            self._consumer = outsider(self._options, ROWS)
            topic, partition = place
            message = f"{topic} [{partition}]: its end is not known: {error.args[0].str()}"
            raise BrokerUnavailable(message) from error
        self._consumer.assign([TopicPartition(*place, end)])

    def next(self, wait_s: float) -> list[Record]:
        """The next rows; blocks up to `wait_s`. Raises BrokerUnavailable if they can't be read."""
        found: list[Record] = []
        for message in self._consumer.consume(BATCH, wait_s):
            error = message.error()
            if error is None:
                found.append(message)  # type: ignore[arg-type] # a Message has a Record's shape
            elif _ends_it(error):
                raise BrokerUnavailable(error.str())
        return found

    def end(self) -> None:
        """Read no further."""
        self._consumer.unassign()

    def close(self) -> None:
        """Disconnect."""
        self._consumer.close()


class Line:
    """Probes one queue, one partition after the other. Used by one thread."""

    def __init__(self, queue: QueueTopics, client: Client, rows: ProbeRows, first: int) -> None:
        """Begin with partition `first`; several canaries begin at different ones."""
        self._plan = plan_of(queue)
        self._kind = JobKind(codec(), self._plan, CANARY)
        self._client = client
        self._rows = rows
        self._next = first % self._plan.partitions
        self._args = Probe(f"{socket.gethostname()[:100]}:{os.getpid()}")

    def probe(self, timeout_s: float, given_up: Callable[[], bool]) -> Probed:
        """Enqueue a canary job and wait for its row; blocks up to `timeout_s` and an enqueue more.

        Never raises for what Kafka does: that is a failed probe.
        """
        plan, partition = self._plan, self._next
        self._next = (partition + 1) % plan.partitions
        job_id = id_on(partition, plan.partitions, lambda: str(uuid_utils.uuid7()))
        began = time.monotonic()

        def probed(failure: str = "", detail: str = "") -> Probed:
            took_s = time.monotonic() - began
            return Probed(plan.name, partition, job_id, took_s, failure, detail)

        try:
            self._rows.begin((plan.dedup, partition))
            began = time.monotonic()
            self._client.enqueue(self._kind, self._args, WHEN, job_id)
        except JobstreamError as error:
            return probed(ENQUEUE, str(error))
        state, trouble = self._wait(job_id, began + timeout_s, given_up)
        self._rows.end()
        return verdict(probed(detail=trouble), state)

    def _wait(
        self, job_id: str, until: float, given_up: Callable[[], bool]
    ) -> tuple[str | None, str]:
        """The job's state once a row tells it, and what went wrong with the reading last."""
        trouble = ""
        while (left_s := until - time.monotonic()) > 0 and not given_up():
            try:
                state = end_of(job_id, self._rows.next(min(POLL_S, left_s)))
            except BrokerUnavailable as error:
                trouble = str(error)
                continue
            if state is not None:
                return state, ""
        return None, trouble


def plan_of(queue: QueueTopics) -> QueuePlan:
    """Where the queue's records live, as the cluster has it; enough to enqueue."""
    rungs = {rung: (topic, queue.counts[topic]) for rung, topic in queue.rungs.items()}
    return QueuePlan(
        name=queue.name,
        topic=queue.topic,
        dlq=queue.dlq,
        dedup=queue.dedup,
        partitions=queue.counts[queue.topic],
        window_ms=0,
        rungs=MappingProxyType(rungs),
    )


def client_of(app: str, settings: Settings) -> Client:
    """The client that canary jobs are enqueued with; connects at first use."""
    transport = KafkaTransport(settings.client_options(), settings.enqueue_timeout_ms)
    return Client(
        transport,
        schemas_topic(app),
        timeout_ms=settings.enqueue_timeout_ms,
        bytes_max=settings.enqueue_bytes_max,
    )


def _ends_it(error: KafkaError) -> bool:
    return not is_passing(error) and error.code() != KafkaError._PARTITION_EOF  # noqa: SLF001 - the library's name
