"""The client that feeds the agents: confluent-kafka under Faust, started at the database's offsets.

Faust's own client stops for ever at a header name that is no UTF-8, and its confluent driver drops
headers and times (docs/adr/0031). One Faust event here is a `Run`: all that the log has in a range
of one partition. Nothing is acknowledged to Faust and nothing it commits is read: where reading
goes on, `Starts` says, by the database.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Any

from confluent_kafka import Consumer as Client
from confluent_kafka import KafkaError, KafkaException
from confluent_kafka import TopicPartition as Place
from faust.transport.consumer import ConsumerThread, ThreadDelegateConsumer
from faust.types import TP

from jobstream.errors import SourceFailed
from jobstream.kafka.client.construct import made
from jobstream.kafka.client.error_kinds import is_fatal
from jobstream.views.batch import Run
from jobstream.views.beginning import Beginnings

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable, Mapping

    from confluent_kafka import Message

    from jobstream.views.beginning import Found, Starts
    from jobstream.views.changes import Where
    from jobstream_processors.ports import TopicPartition

log = logging.getLogger("jobstream.views")

RECORDS_MAX = 2_000
"""Of one look at the client."""
ROOM = 10_000
"""Records that wait for the agents; beyond, reading pauses."""
WAIT_S = 0.05
OPTIONS: Mapping[str, Any] = {
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    # A place that is not in the log any more is a gap, to be counted.
    "auto.offset.reset": "error",
    "fetch.wait.max.ms": 50,
    "fetch.queue.backoff.ms": 10,
    "queued.max.messages.kbytes": 16_384,
    "max.poll.interval.ms": 300_000,
}


class RunThread(ConsumerThread):
    """The thread that owns the client."""

    def __init__(self, consumer: ThreadDelegateConsumer, **kwargs: Any) -> None:  # noqa: ANN401 - Faust's
        super().__init__(consumer, **kwargs)
        self._client: Client | None = None
        app: Any = self.app
        self._starts: Starts = app.starts
        self._beginnings = Beginnings(self._starts)
        self._options: Mapping[str, Any] = app.client_options
        self._failed: Callable[[BaseException], object] = app.failed
        self._tellings: set[asyncio.Task[None]] = set()
        self._wheres: dict[TP, Where] = {}
        self._next: dict[TP, int] = {}
        """Where each partition that is read goes on."""
        self._ready: dict[TP, list[Message]] = {}
        """Read, and not handed over yet."""
        self._highs: dict[TP, int] = {}
        """The next offset to be written of each, as the client heard last."""
        self._pump: asyncio.Task[None] | None = None
        self._is_leaving = False
        self._is_paused = False

    async def on_start(self) -> None:
        """Connect."""
        self._client = made(Client, self._options)

    async def on_thread_stop(self) -> None:
        """Leave the group."""
        self._is_leaving = True
        if self._pump is not None:
            await asyncio.wait((self._pump,))
        await super().on_thread_stop()
        if self._client is not None:
            self._client.close()

    def close(self) -> None:
        """Nothing beside: the thread closes its client when it ends."""

    # -- assignments

    async def subscribe(self, topics: Iterable[str]) -> None:
        """Join the group."""
        await self.call_thread(self._subscribe, sorted(topics))

    async def _subscribe(self, topics: list[str]) -> None:
        self._held.subscribe(
            topics, on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_revoke
        )
        if self._pump is None:
            self._pump = self.thread_loop.create_task(self._poll_on())
            self._pump.add_done_callback(self._ended)

    @property
    def _held(self) -> Client:
        assert self._client is not None, "the thread was started"  # noqa: S101
        return self._client

    def _on_assign(self, client: Client, places: list[Place]) -> None:
        try:
            found = self._beginnings.of([(each.topic, each.partition) for each in places])
        except SourceFailed:
            # The group waits for an answer; this client ends now.
            client.incremental_assign([])
            raise
        self._begin(found)

    def _begin(self, found: Found) -> None:
        for place, (where, offset) in found.items():
            tp = TP(*place)
            self._wheres[tp], self._next[tp] = where, offset
        self._held.incremental_assign([Place(*at, offset) for at, (_, offset) in found.items()])
        self._soon(self.on_partitions_assigned(set(self._next)))

    def _on_revoke(self, client: Client, places: list[Place]) -> None:
        gone = {TP(each.topic, each.partition) for each in places}
        self._end(client, gone)
        self._beginnings.forget(gone)
        self._soon(self._tell_revoked(gone))

    def _end(self, client: Client, gone: set[TP]) -> None:
        """Read these no more, so far as they are read."""
        mine = [tp for tp in gone if tp in self._next]
        client.incremental_unassign([Place(*tp) for tp in mine])
        for tp in mine:
            del self._next[tp], self._wheres[tp]
            self._ready.pop(tp, None)
            self._highs.pop(tp, None)

    def _soon(self, telling: Coroutine[Any, Any, None]) -> None:
        """Tell Faust once this callback, which is inside a call of the client, has ended."""
        task = self.thread_loop.create_task(telling)
        self._tellings.add(task)
        task.add_done_callback(self._tellings.discard)

    async def _tell_revoked(self, gone: set[TP]) -> None:
        await self.on_partitions_revoked(gone)
        await self.on_partitions_assigned(set(self._next))

    # -- positions: the database's alone

    async def seek_to_committed(self) -> Mapping[TP, int]:
        """Go to where the database stands, with every partition that is held."""
        found: Mapping[TP, int] = await self.call_thread(self._to_stored)
        return found

    async def _to_stored(self) -> Mapping[TP, int]:
        self._ask_anew(set(self._next))
        return dict(self._next)

    def _ask_anew(self, held: set[TP]) -> None:
        found = self._beginnings.of(held)
        if not self._starts.stopping:
            self._end(self._held, held - found.keys())
        self._go_to(found)

    def _go_to(self, found: Found) -> None:
        for place, (where, offset) in found.items():
            tp = TP(*place)
            self._wheres[tp] = where
            self._go(tp, offset)

    async def go_back(self, nexts: Mapping[TopicPartition, int | None]) -> None:
        """Go on at these offsets, where the partitions are still held; None: ask for it."""
        await self.call_thread(self._go_back, nexts)

    async def _go_back(self, nexts: Mapping[TopicPartition, int | None]) -> None:
        held = {TP(*at): offset for at, offset in nexts.items() if TP(*at) in self._next}
        for tp, offset in held.items():
            if offset is not None:
                self._go(tp, offset)
        if placeless := {tp for tp, offset in held.items() if offset is None}:
            self._ask_anew(placeless)

    def _go(self, tp: TP, offset: int) -> None:
        if self._next[tp] == offset and not self._ready.get(tp):
            return
        self._ready.pop(tp, None)
        self._next[tp] = offset
        try:
            self._held.seek(Place(*tp, offset))
        except KafkaException:
            # A partition that ended in an error takes no seek: an assignment begins it anew.
            self._held.incremental_unassign([Place(*tp)])
            self._held.incremental_assign([Place(*tp, offset)])

    async def commit(self, tps: Mapping[TP, int]) -> bool:  # noqa: ARG002 - Faust's signature
        """Commit nothing: the database has the offsets, with the rows."""
        return True

    async def position(self, tp: TP) -> int | None:
        """Where it goes on."""
        return self._next.get(tp)

    async def seek_to_beginning(self, *partitions: TP) -> None:
        """Never: the database says where."""

    async def seek_wait(self, partitions: Mapping[TP, int]) -> None:
        """Never, as above."""

    def seek(self, partition: TP, offset: int) -> None:
        """Never, as above."""

    def assignment(self) -> set[TP]:
        """What is held."""
        return set(self._next)

    def highwater(self, tp: TP) -> int:
        """The next offset to be written, as the client heard last."""
        # Asked of the client from another thread than the one that polls, this can wait for long.
        return self._highs.get(tp, 0)

    def topic_partitions(self, topic: str) -> int | None:  # noqa: ARG002 - Faust's signature
        """Unknown: nobody here partitions by key."""
        return None

    async def earliest_offsets(self, *partitions: TP) -> Mapping[TP, int]:
        """None: there is no changelog to recover."""
        return dict.fromkeys(partitions, 0)

    async def highwaters(self, *partitions: TP) -> Mapping[TP, int]:
        """None, as above."""
        return dict.fromkeys(partitions, 0)

    def key_partition(
        self, topic: str, key: bytes | None, partition: int | None = None
    ) -> int | None:
        """Nobody here partitions by key."""
        del topic, key
        return partition

    async def create_topic(self, topic: str, *_: Any, **__: Any) -> None:  # noqa: ANN401 - Faust's
        """Never: topics are made by `jobstream topics apply`."""
        message = f"views make no topic, and were asked for {topic}"
        raise RuntimeError(message)

    # -- reading

    async def getmany(
        self,
        active_partitions: set[TP] | None,
        timeout: float,  # noqa: ARG002, ASYNC109 - Faust's
    ) -> dict[TP, list[Run]]:
        """What was read since the last call, a run for each partition."""
        found: dict[TP, list[Run]] = await self.call_thread(self._take, active_partitions)
        return found

    async def _take(self, active: set[TP] | None) -> dict[TP, list[Run]]:
        mine = [tp for tp in self._ready if active is None or tp in active]
        if not mine or not self.consumer.flow_active:
            await asyncio.sleep(WAIT_S)
            return {}
        runs = {tp: [self._run(tp, self._ready.pop(tp))] for tp in mine}
        self._keep_room()
        return runs

    def _ended(self, pump: asyncio.Task[None]) -> None:
        error = None if pump.cancelled() else pump.exception()
        if error is not None:
            self._failed(error)

    async def _poll_on(self) -> None:
        """Serve the group and fill the room, whether Faust asks or not.

        It asks for nothing before the first assignment, and waits while the database is away.
        """
        while not self._is_leaving:
            for message in self._held.consume(RECORDS_MAX, WAIT_S):
                tp = TP(message.topic() or "", message.partition() or 0)
                if message.error() is not None:
                    self._trouble(tp, message)
                elif tp in self._next:
                    self._ready.setdefault(tp, []).append(message)
            if found := self._beginnings.of_unseen():
                self._begin(found)
            self._keep_room()
            await asyncio.sleep(0)

    def _keep_room(self) -> None:
        """Read no further while much of what was read waits."""
        waiting = sum(map(len, self._ready.values()))
        is_full = waiting >= ROOM if not self._is_paused else waiting > ROOM // 4
        if is_full != self._is_paused:
            places = [Place(*tp) for tp in self._next]
            (self._held.pause if is_full else self._held.resume)(places)
            self._is_paused = is_full

    def _run(self, tp: TP, records: list[Message]) -> Run:
        start, stop = self._next[tp], (records[-1].offset() or 0) + 1
        self._next[tp] = stop
        _, high = self._held.get_watermark_offsets(Place(*tp), cached=True)
        end = self._highs[tp] = max(high, stop)
        return Run(self._wheres[tp], start, stop, records, end, int(time.time() * 1000))  # type: ignore[arg-type] # a Message has a Record's shape

    def _trouble(self, tp: TP, message: Message) -> None:
        error = message.error()
        if error is not None and error.code() == KafkaError._AUTO_OFFSET_RESET:  # noqa: SLF001 - its name
            if tp in self._next:
                self._go_on_in_log(tp)
            return
        assert error is not None, "only errors come here"  # noqa: S101
        if is_fatal(error):
            # The app is started anew, with another client.
            text = f"{tp.topic} [{tp.partition}]: {error.str()}"
            raise SourceFailed(text)
        log.warning("views_client_error", extra={"reason": error.str(), "code": error.name()})

    def _go_on_in_log(self, tp: TP) -> None:
        try:
            offset = self._starts.out_of_log((tp.topic, tp.partition))
        except Exception as error:  # noqa: BLE001 - it is asked about until it can be begun again
            log.warning("views_place_waits", extra={"place": str(tp), "reason": str(error)})
            self._end(self._held, {tp})
            self._beginnings.wait_for(tp)
            return
        self._next[tp] = -1
        self._go(tp, offset)
