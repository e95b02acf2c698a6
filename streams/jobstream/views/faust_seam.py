"""Faust's seam for clients: its consumer without acknowledgements and commits, and the transport.

The thread behind it is `consuming.py`: the database alone says where reading goes on.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from faust.transport.base import Transport
from faust.transport.consumer import ThreadDelegateConsumer
from faust.transport.producer import Producer
from faust.types import TP
from faust.types.tuples import ConsumerMessage
from faust.types.tuples import Message as FaustMessage

from jobstream.views.consuming import RunThread

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jobstream.views.batch import Run
    from jobstream_processors.ports import TopicPartition


class _Nowhere(dict[TP, int | None]):
    """Faust's note of what it delivered last: it would drop what is read again."""

    def __getitem__(self, tp: TP) -> None:
        return None

    def __setitem__(self, tp: TP, offset: int | None) -> None:
        return


class RunConsumer(ThreadDelegateConsumer):
    """Faust's consumer without its acknowledgements and commits."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - Faust's
        super().__init__(*args, **kwargs)
        self._read_offset = _Nowhere()

    def _new_consumer_thread(self) -> RunThread:
        return RunThread(self, loop=self.loop, beacon=self.beacon)

    def _new_topicpartition(self, topic: str, partition: int) -> TP:
        return TP(topic, partition)

    def _to_message(self, tp: TP, record: Run) -> ConsumerMessage:
        run: Any = record
        # Of another generation, a stream would drop it without a word.
        generation = self.app.consumer_generation_id
        return ConsumerMessage(
            tp.topic, tp.partition, record.start, time.time(), 0, [], None, run, None, tp=tp,
            generation_id=generation,
        )  # fmt: skip

    async def create_topic(self, topic: str, *_: Any, **__: Any) -> None:  # noqa: ANN401 - Faust's
        """Never, as above."""
        await self._thread.create_topic(topic, 1, 1)

    async def perform_seek(self) -> None:
        """After a rebalance Faust has thrown its buffers away: go back to what is stored."""
        await self._thread.seek_to_committed()

    async def go_back(self, nexts: Mapping[TopicPartition, int | None]) -> None:
        """Go on at these offsets; where none is stored, the database is asked for the beginning."""
        thread: Any = self._thread
        await thread.go_back(nexts)

    def track_message(self, message: FaustMessage) -> None:
        """Nothing waits to be acknowledged."""

    def ack(self, message: FaustMessage) -> bool:  # noqa: ARG002 - Faust's signature
        """As above."""
        return True

    async def commit(self, *_: Any, **__: Any) -> bool:  # noqa: ANN401 - Faust's
        """Nothing to commit."""
        return True

    async def wait_empty(self) -> None:
        """What is not stored yet is read again by the next owner of the partition."""

    def verify_event_path(self, now: float, tp: TP) -> None:
        """Its own commits are not made, so their age tells nothing."""


class RunTransport(Transport):
    """Faust's seam for clients."""

    Consumer = RunConsumer
    Producer = Producer
    driver_version = "confluent-kafka"
