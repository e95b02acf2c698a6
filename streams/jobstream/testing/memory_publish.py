"""The write side of the broker in memory: appending, acknowledging, and the faults of both.

Every record of a publish is appended in order or fails by itself; nothing is rolled back, as on
Kafka. Groups and readers are not known here.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING
from zlib import crc32

from jobstream.testing.errors import ClockStoodStill
from jobstream.testing.faults import PublishFaults
from jobstream.testing.memory_topics import Logs
from jobstream_processors.errors import PublishFailed, PublishFailure

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from jobstream.testing.faults import Chosen, Fate
    from jobstream.testing.virtual_clock import VirtualClock
    from jobstream_processors.ports import Outgoing, TopicPartition

# librdkafka's default for message.max.bytes.
RECORD_BYTES_MAX = 1_000_000
# As message.timeout.ms of our producer on Kafka.
PUBLISH_TIMEOUT_MS = 120_000
# A publish that waits for the virtual clock gives up after this much real time.
STAND_STILL_S = 60.0
_LATE = PublishFailure(f"not acknowledged within {PUBLISH_TIMEOUT_MS} ms", code="_MSG_TIMED_OUT")


class Sending:
    """Records sent together, and what became of them."""

    def __init__(self) -> None:
        self.last: dict[TopicPartition, int] = {}
        """The last offset per partition."""
        self.bad: dict[int, PublishFailure] = {}
        self.held: set[int] = set()
        """Those without an answer."""

    def failures(self, timeout_s: float) -> Mapping[int, PublishFailure] | None:  # noqa: ARG002 - as the port has it
        """The records without acknowledgement; None while some are held back. Does not wait."""
        return None if self.held else self.bad

    def answer(self, index: int, failure: PublishFailure | None) -> None:
        """One record is in the log, or `failure` says why it does not count as that."""
        if failure is not None:
            self.bad[index] = failure


class Publishing:
    """Takes records. Thread-safe: all state is guarded by `changed`."""

    def __init__(
        self, clock: VirtualClock, record_bytes_max: int, wait_ms: Callable[[int], None] | None
    ) -> None:
        self.clock = clock
        self._wait_ms = wait_ms
        self.changed = threading.Condition(threading.RLock())
        self._logs = Logs(record_bytes_max)
        self._faults = PublishFaults()
        self._held = 0
        self._back: list[tuple[Sending, int, Outgoing]] = []
        """The records held back, in the order of their sends."""
        self.is_frozen = False
        """Whether it answers no client; see `MemoryBroker.freeze`."""
        self._nodes = 1
        self._ahead_ms: dict[int, int] = {}

    def skew(self, *ahead_ms: int) -> None:
        """Give each broker of a cluster a clock of its own: ahead by so much, or behind.

        As many brokers as values; they lead the partitions of each topic by turns. It may be called
        again: then their clocks jump.
        """
        with self.changed:
            self._nodes = len(ahead_ms)
            self._ahead_ms = dict(enumerate(ahead_ms))

    def publish(self, records: Sequence[Outgoing]) -> Mapping[TopicPartition, int]:
        """Append in order; returns the last offset per partition. Raises PublishFailed.

        Blocks while slow publishes are on, until the virtual clock has moved on.
        """
        sending = self.send(records)
        # A test can't wait two minutes: what is held back fails at once, and is appended later.
        failures = dict.fromkeys(sending.held, _LATE) | sending.bad
        if failures:
            raise PublishFailed(failures)
        return sending.last

    def send(self, records: Sequence[Outgoing]) -> Sending:
        """Append in order what is not held back; see `hold_publishes`. Raises nothing.

        Blocks while slow publishes are on, as `publish` does.
        """
        sending = Sending()
        with self.changed:
            for index, record in enumerate(records):
                if self._faults.holds is not None and self._faults.holds(record):
                    sending.held.add(index)
                    self._back.append((sending, index, record))
                else:
                    sending.answer(index, self._append(record, sending.last))
            self.changed.notify_all()
            late = not self._await_acknowledgement()
        if late:
            sending.bad = dict.fromkeys(range(len(records)), _LATE) | sending.bad
        return sending

    def fail_publishes(self, which: int | Chosen, *, fate: Fate = "mixed") -> None:
        """Fail the next `which` records, or all that the predicate `which` chooses until `heal`.

        By default every other failed record was appended all the same, the first one included.
        """
        with self.changed:
            self._faults.fail(which, fate)

    def slow_publishes(self, ms: int) -> None:
        """Acknowledge only when the virtual clock has moved `ms` on from the append.

        Longer than PUBLISH_TIMEOUT_MS: fail at that time, though every record is in the log.
        """
        with self.changed:
            self._faults.slow_ms = ms

    def hold_publishes(self, which: Chosen) -> None:
        """Neither append nor refuse what `which` chooses, until `heal` appends it in order.

        As while a partition's leader is elected: senders hear nothing. A publish that blocks fails,
        as after PUBLISH_TIMEOUT_MS, and its records are appended all the same.
        """
        with self.changed:
            self._faults.holds = which

    def heal(self) -> None:
        """Publishes work again; those that are held back are appended and acknowledged."""
        with self.changed:
            self._faults.heal()
            back, self._back = self._back, []
            for sending, index, record in back:
                sending.held.discard(index)
                sending.answer(index, self._append(record, sending.last))
            self.changed.notify_all()

    def wait_for_held(self, count: int, timeout_s: float = 60.0) -> bool:
        """Block until `count` slow publishes wait for the clock; False after `timeout_s`."""
        with self.changed:
            return self.changed.wait_for(lambda: self._held >= count, timeout_s)

    def _append(self, record: Outgoing, last: dict[TopicPartition, int]) -> PublishFailure | None:
        if self.is_frozen:
            return PublishFailure("the broker answers nothing")
        refusal = self._logs.refusal(record)
        if refusal is not None:
            return refusal
        fate = self._faults.fate_of(record)
        if fate == "absent":
            return PublishFailure("switched to fail: not in the log", code="_MSG_TIMED_OUT")
        place, offset = self._logs.append(record, self._stamp_ms)
        if fate == "appended":
            reason = "switched to fail: appended, the acknowledgement was lost"
            return PublishFailure(reason, code="_MSG_TIMED_OUT")
        last[place] = offset
        return None

    def leader(self, place: TopicPartition) -> int:
        """The broker that leads a partition, by its place among the values of `skew`."""
        return (crc32(place[0].encode()) + place[1]) % self._nodes

    def _stamp_ms(self, place: TopicPartition) -> int:
        return self.clock.broker_ms() + self._ahead_ms.get(self.leader(place), 0)

    def _await_acknowledgement(self) -> bool:
        """Wait as slow publishes want it; False if the publish timed out first."""
        slow_ms = self._faults.slow_ms
        if not slow_ms:
            return True
        wait_ms = min(slow_ms, PUBLISH_TIMEOUT_MS)
        if self._wait_ms is not None:
            self._wait_ms(wait_ms)
            return slow_ms <= PUBLISH_TIMEOUT_MS
        until_ms = self.clock.monotonic_ms() + wait_ms
        self._held += 1
        self.changed.notify_all()
        try:
            moved = self.changed.wait_for(
                lambda: not self._faults.slow_ms or self.clock.monotonic_ms() >= until_ms,
                STAND_STILL_S,
            )
        finally:
            self._held -= 1
        if not moved:
            message = f"a publish waited {STAND_STILL_S} s for the clock; advance it or heal()"
            raise ClockStoodStill(message)
        return slow_ms <= PUBLISH_TIMEOUT_MS or not self._faults.slow_ms
