"""The broker in memory, with brokers whose clocks differ, and clients that wait for answers.

What a client asks for takes a moment of virtual time, so that others come in between; a process
that dies or freezes meanwhile may have been heard or not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Protocol

from tests.simulation.runtime import Killed

from jobstream.testing import MemoryBroker, MemorySink, MemorySource
from jobstream.testing.memory_log import MemoryLog
from jobstream.testing.memory_publish import Sending
from jobstream.testing.virtual_clock import VirtualClock
from jobstream_processors.core.partition import partition_for
from jobstream_processors.errors import PublishFailed, PublishFailure
from jobstream_processors.ports import Outgoing

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

    from tests.simulation.runtime import Process, Scheduler, Task

    from jobstream.kafka.client.broker_clock import BrokerClock
    from jobstream.testing.memory_record import MemoryRecord
    from jobstream_processors.ports import Listener, Position, Sent, TopicPartition

PUBLISH_S_MAX = 120.0
AGAIN_S_MAX = 1.0
"""How much later than others a client may see that a partition has a leader again."""


class Written(Protocol):
    """What is told of a record's acknowledgement."""

    acknowledged: bool


Appended = Callable[["Outgoing", "TopicPartition", int, int], Written | None]
Committing = Callable[[str, str, "Mapping[TopicPartition, Position]"], object]


class WorldClock(VirtualClock):
    """True time, which nobody but the brokers reads, each with an error of its own."""

    def __init__(self, scheduler: Scheduler, epoch_ms: int) -> None:
        super().__init__(epoch_ms)
        self._scheduler = scheduler

    def monotonic_ms(self) -> int:
        return self._scheduler.now_us // 1_000

    def broker_ms(self) -> int:
        return self._epoch_ms + self._scheduler.now_us // 1_000


class Changed:
    """Stands for the broker's lock: whoever holds it lets nobody else run."""

    def __init__(self) -> None:
        self.sources: dict[SimSource, None] = {}
        self.touched: set[str] = set()
        """Topics that were appended to since the last notice; empty: anything may have changed."""

    def __enter__(self) -> bool:
        return True

    def __exit__(self, *_: object) -> None:
        pass

    def notify_all(self) -> None:
        touched, self.touched = self.touched, set()
        for source in list(self.sources):
            if not touched or not source.topics.isdisjoint(touched):
                source.wake()


class Network(MemoryBroker):
    """The brokers. `down` holds up everything that is asked; `slow_s` is how long answers take."""

    def __init__(self, scheduler: Scheduler, epoch_ms: int) -> None:
        super().__init__(WorldClock(scheduler, epoch_ms))
        self.scheduler = scheduler
        self.notices = Changed()
        self.changed = self.notices  # type: ignore[assignment] # as far as it is used
        self.skews_ms = [0]
        """How far the clock of each broker is off."""
        self.down = False
        self.electing: frozenset[TopicPartition] = frozenset()
        """Partitions without a leader: what is sent there waits."""
        self.slow_s = 0.004
        self.appended: Appended = lambda *_: None
        """Told of each record: what, where, its offset and its stamp."""
        self.batch: list[Written] = []
        """What it made of those that are to be acknowledged."""
        self.committing: Committing = lambda *_: None
        self.polling: Callable[[Listener], object] = lambda _: None
        self.left_out: Callable[[], object] = lambda: None
        """Told whenever a client leaves out a record, which may be long after that was drawn."""

    def set_clocks(self, *ahead_ms: int) -> None:
        """From now on the brokers' clocks are ahead by so much, or behind."""
        self.skews_ms = list(ahead_ms)
        self.skew(*ahead_ms)

    def _append(self, record: Outgoing, last: dict[TopicPartition, int]) -> PublishFailure | None:
        refusal = self._logs.refusal(record)
        if refusal is not None:
            return refusal
        count = len(self._logs.topic(record.topic).partitions)
        number = record.partition
        if number == -1 and record.key is not None:
            number = partition_for(record.key, count)
        place = (record.topic, number)
        before = self._logs.partition(place).end
        failure = super()._append(record, last)
        if self._logs.partition(place).end > before:
            self.notices.touched.add(record.topic)
            written = self.appended(record, place, before, self._stamp_ms(place))
            if written is not None and failure is None:
                self.batch.append(written)
        return failure

    def stamp_ms(self, place: TopicPartition) -> int:
        """What the broker that leads `place` would stamp now."""
        return self._stamp_ms(place)

    # -- waiting, by whoever asks

    def is_leaderless(self, records: Iterable[Outgoing]) -> bool:
        """Whether any of these goes to a partition that has no leader."""
        return any((record.topic, record.partition) in self.electing for record in records)

    def answer(
        self, process: Process, limit_s: float = 1e9, records: Sequence[Outgoing] = ()
    ) -> bool:
        """Let the time of an answer pass, and the time during which nobody answers."""
        scheduler = self.scheduler
        scheduler.sleep(self.slow_s * (0.25 + scheduler.rng.random()))
        waited = 0.0
        while (self.down or self.is_leaderless(records)) and waited < limit_s:
            scheduler.sleep(0.5)
            waited += 0.5
        if process.dead:
            raise Killed
        return not self.down and not self.is_leaderless(records)


class Awaited:
    """Records of a partition without a leader: the client sends them once it has one.

    It does so whether anybody waits for them or not, and not at once.
    """

    def __init__(
        self,
        network: Network,
        process: Process,
        send: Callable[[], Sending],
        records: Sequence[Outgoing],
    ) -> None:
        self._network, self._send, self._records = network, send, records
        self._sending: Sending | None = None
        network.scheduler.spawn(process, "rows", self._deliver)

    def failures(self, timeout_s: float) -> Mapping[int, PublishFailure] | None:
        if self._sending is None and timeout_s:
            self._network.scheduler.sleep(timeout_s)
        return self._sending.failures(0.0) if self._sending is not None else None

    def _deliver(self) -> None:
        scheduler = self._network.scheduler
        while self._network.is_leaderless(self._records):
            scheduler.sleep(0.5)
        scheduler.sleep(AGAIN_S_MAX * scheduler.rng.random())
        self._sending = self._send()


class SimSink(MemorySink):
    """A producer of one process."""

    def __init__(self, network: Network, process: Process, clock: BrokerClock) -> None:
        super().__init__(network)
        self._network = network
        self._process = process
        self._reports = clock
        self._late_ms = 0

    def publish(self, records: Sequence[Outgoing]) -> Mapping[TopicPartition, int]:
        network = self._network
        if not records:
            return {}
        sent_ms = self._reports.monotonic_ms()
        if not network.answer(self._process, PUBLISH_S_MAX, records):
            reason = PublishFailure("no broker")
            raise PublishFailed(dict.fromkeys(range(len(records)), reason))
        try:
            last = network.publish(records)
        finally:
            self._heard()
        self._learn(last, sent_ms)
        return last

    def send(self, records: Sequence[Outgoing]) -> Sent:
        if self._network.is_leaderless(records):
            send = partial(self._send, records)
            return Awaited(self._network, self._process, send, records)
        return self._send(records)

    def send_rows(self, place: TopicPartition, rows: Sequence[dict[str, bytes]]) -> Sent:
        return self.send([Outgoing(place[0], row["key"], row["value"], place[1]) for row in rows])

    def _send(self, records: Sequence[Outgoing]) -> Sending:
        network = self._network
        sent_ms = self._reports.monotonic_ms()
        if not network.answer(self._process, PUBLISH_S_MAX, records):
            sending = Sending()
            for index in range(len(records)):
                sending.answer(index, PublishFailure("no broker"))
            return sending
        sending = network.send(records)
        self._heard()
        self._learn(sending.last, sent_ms)
        return sending

    def _heard(self) -> None:
        """The answer comes a moment after the append."""
        network = self._network
        written, network.batch = network.batch, []
        since_us = network.scheduler.now_us
        network.scheduler.sleep(network.slow_s * network.scheduler.rng.random())
        self._late_ms = (network.scheduler.now_us - since_us) // 1_000
        for each in written:
            each.acknowledged = True

    def _learn(self, places: Collection[TopicPartition], sent_ms: int) -> None:
        """The report tells what the broker stamped, a moment ago."""
        stamps = {place: self._network.stamp_ms(place) - self._late_ms for place in places}
        self._reports.reported(stamps, sent_ms)


class SimLog(MemoryLog):
    """Reads topics for one process."""

    def __init__(self, network: Network, process: Process) -> None:
        super().__init__(network)
        self._network = network
        self._process = process

    def read(
        self, partition: TopicPartition, start: int, stop: int
    ) -> Iterator[Sequence[MemoryRecord]]:
        if start < stop:
            self._network.answer(self._process)
        yield from super().read(partition, start, stop)

    def span(self, partition: TopicPartition) -> tuple[int, int]:
        self._network.answer(self._process)
        return super().span(partition)

    def topic_id(self, topic: str, *, anew: bool = False) -> str:
        if anew or topic not in self._ids:
            self._network.answer(self._process)
        return super().topic_id(topic, anew=anew)


class SimSource(MemorySource):
    """A consumer of one process; a record comes in batches of any size."""

    def __init__(
        self,
        network: Network,
        process: Process,
        clock: BrokerClock,
        group: str,
        topics: Collection[str],
    ) -> None:
        super().__init__(network, group, topics, clock)
        self.topics = frozenset(topics)
        self.process = process
        self.group = group
        self._network = network
        self._heard_by = clock
        self._task: Task | None = None
        self._repeated: set[TopicPartition] = set()
        network.notices.sources[self] = None

    def poll(self, limit: int, timeout_s: float) -> Sequence[MemoryRecord]:
        network, scheduler = self._network, self._network.scheduler
        until_us = scheduler.now_us + round(timeout_s * 1e6)
        network.polling(self._told())
        most = scheduler.rng.choice((1, 3, 10, limit))
        while True:
            if not network.down:
                self._send_commits()
                self._follow_assignment()
                self._tell_misplaced()
                self._look()
                records = self._take(min(limit, most))
                if records:
                    self._heard_by.observe(records[-1].timestamp()[1])
                    return records
            left_us = until_us - scheduler.now_us
            if left_us <= 0:
                return ()
            self._task = scheduler.task
            woken = scheduler.block(left_us / 1e6)
            self._task = None
            if not woken:
                return ()  # Whatever changes wakes it.

    def places(self) -> list[tuple[TopicPartition, int]]:
        """What it delivers, and the next offset of each."""
        return [(place, held.position) for place, held in self._held.items() if held.position >= 0]

    def repeat(self, place: TopicPartition) -> None:
        """Deliver twice what comes next of it, as a client that fetched it twice."""
        self._repeated.add(place)

    def _take(self, limit: int) -> list[MemoryRecord]:
        taken = super()._take(limit)
        if not self._repeated:
            return taken
        again = [r for r in taken if (r.topic(), r.partition()) in self._repeated]
        self._repeated.difference_update((r.topic(), r.partition()) for r in again)
        return taken + again[: limit - len(taken)]

    def _delivered(
        self, partition: TopicPartition, found: list[MemoryRecord]
    ) -> list[MemoryRecord]:
        kept = super()._delivered(partition, found)
        if len(kept) < len(found):
            self._network.left_out()
        return kept

    def wake(self) -> None:
        if self._task is not None:
            self._network.scheduler.wake(self._task)

    def close(self) -> None:
        try:
            super().close()
        finally:
            self._network.notices.sources.pop(self, None)

    def kill(self) -> None:
        super().kill()
        self._network.notices.sources.pop(self, None)

    def _lose(self, partitions: Sequence[TopicPartition]) -> None:
        super()._lose(partitions)
        self.process.expelled = False

    def _send_commits(self) -> None:
        if self._unsent:
            self._network.committing(self.group, self.member, dict(self._unsent))
        super()._send_commits()
