"""The Faust agent: reads clicks, and enqueues a job for each session that has ended.

`faust -A examples.clicks.agent:sessions worker --without-web` runs it, as any Faust app; left to
itself, the command serves pages on every address. It keeps nothing but the sessions that are open,
and acknowledges a click to Faust only when no session reaches over it. No clock but the brokers'
counts: where no click comes, the agent writes a tick into the topic.
"""

from __future__ import annotations

import os
from collections import deque
from typing import TYPE_CHECKING, Any

import faust
from examples.clicks.app import EndedSession, app, report_session
from examples.clicks.sessions import PartitionSessions

if TYPE_CHECKING:
    from examples.clicks.sessions import Session

TICK_S = 1.0
"""A partition with open sessions gets a tick so often."""

sessions = faust.App(
    "clicks-sessions",
    broker=f"kafka://{os.environ.get('JOBSTREAM_BOOTSTRAP_SERVERS', 'localhost:9092')}",
    store="memory://",
    topic_disable_leader=True,
    broker_commit_interval=0.5,
    # How long the partitions of a killed agent stand still; Faust's default is a minute.
    broker_session_timeout=10.0,
    broker_request_timeout=30.0,
    consumer_auto_offset_reset="earliest",
)
clicks = sessions.topic("clicks", value_type=bytes, value_serializer="raw", internal=True)


class OpenPartition:
    """A partition that this process reads: its sessions, and the clicks not acknowledged yet."""

    def __init__(self) -> None:
        self.sessions = PartitionSessions()
        self.waiting: deque[tuple[int, Any]] = deque()

    def acknowledge(self) -> None:
        """Tell Faust of every click before the place from which to read again."""
        position = self.sessions.position
        while self.waiting and self.waiting[0][0] < position:
            _, event = self.waiting.popleft()
            event.ack()


held: dict[int, OpenPartition] = {}


@sessions.agent(clicks)
async def find_sessions(stream: Any) -> None:  # noqa: ANN401 - Faust's own
    """Fold clicks into sessions."""
    async for event in stream.noack().events():
        message = event.message
        partition = held.setdefault(message.partition, OpenPartition())
        partition.waiting.append((message.offset, event))
        at_ms = round(message.timestamp * 1_000)
        if message.key:
            user = message.key.decode(errors="backslashreplace")
            ended = partition.sessions.click(user, message.offset, at_ms)
        else:
            ended = partition.sessions.tick(message.offset, at_ms)
        await enqueue(ended)
        partition.acknowledge()


@sessions.timer(TICK_S)
async def tick() -> None:
    """Let time go on where no click may come any more; a record without a key is no click."""
    for number, partition in list(held.items()):
        if partition.sessions.has_open:
            _ = await clicks.send(value=b"", partition=number)  # One that fails comes again.


@sessions.on_partitions_revoked.connect  # type: ignore[arg-type] # its own type has no arguments
async def forget(_: Any, revoked: Any, **__: Any) -> None:  # noqa: ANN401 - Faust's own
    """Whoever reads a partition next begins behind what was acknowledged, and finds the same."""
    for place in revoked:
        held.pop(place.partition, None)


async def enqueue(ended: list[Session]) -> None:
    """Enqueue a job for each; returns once the brokers have it: no click is acknowledged before.

    A second reading of the log gives the same names, and the same jobs by them.
    """
    for each in ended:
        args = EndedSession(each.user, each.began_ms, each.ended_ms, each.clicks)
        await report_session.aenqueue(args, key=each.user, idempotency_key=each.name)


@sessions.task
async def close_at_end() -> None:
    """Disconnect what enqueues when Faust stops."""
    await sessions.wait_until_stopped()
    app.close()
